"""When things begin."""

import pytest

from pa_difc import Phase, Schedule
from pa_difc.losses.schedule import adversarial_ramp


def test_the_paper_s_phases():
    schedule = Schedule(steps_per_epoch=10)
    assert [schedule.phase(10 * e) for e in (0, 19, 20, 39)] == [Phase.DI, Phase.DI, Phase.DIFC, Phase.DIFC]
    assert [schedule.reweighted(10 * e) for e in (0, 4, 5, 39)] == [False, False, True, True]
    assert schedule.phase(199) is Phase.DI and schedule.phase(200) is Phase.DIFC


def test_warmup_comes_first():
    schedule = Schedule(steps_per_epoch=2, warmup_epochs=1, confusion_epoch=2)
    assert [schedule.phase(s) for s in range(6)] == [
        Phase.WARMUP, Phase.WARMUP, Phase.DI, Phase.DI, Phase.DIFC, Phase.DIFC,
    ]  # fmt: skip


def test_warmup_has_no_class_weights():
    schedule = Schedule(steps_per_epoch=2, warmup_epochs=2, confusion_epoch=3, reweight_epoch=1)
    assert [schedule.reweighted(s) for s in range(6)] == [False] * 4 + [True] * 2


def test_an_unknown_length_is_one_epoch():
    schedule = Schedule(warmup_epochs=1, reweight_epoch=0)
    assert schedule.steps_per_epoch is None and Schedule(None) == Schedule()
    assert {schedule.epoch(s) for s in range(1000)} == {0}
    assert [s for s in range(1000) if schedule.starts_epoch(s)] == [0]
    assert schedule.phase(999) is Phase.WARMUP and not schedule.reweighted(999)


def test_never():
    schedule = Schedule(steps_per_epoch=1, confusion_epoch=None, reweight_epoch=None)
    assert schedule.phase(10**6) is Phase.DI and not schedule.reweighted(10**6)


def test_weights_may_end_with_the_di_phase():
    schedule = Schedule(steps_per_epoch=1, confusion_epoch=3, reweight_epoch=1, reweight_with_confusion=False)
    assert [schedule.reweighted(s) for s in range(5)] == [False, True, True, False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps_per_epoch": 0},
        {"warmup_epochs": -1},
        {"confusion_epoch": -1},
        {"reweight_epoch": -2},
        {"warmup_epochs": 3, "confusion_epoch": 2},
    ],
)
def test_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Schedule(**{"steps_per_epoch": 1, **wrong})


def test_the_adversarial_ramp():
    assert adversarial_ramp(0) == 0
    assert adversarial_ramp(0.5) == pytest.approx(0.986614, abs=1e-6)
    assert adversarial_ramp(1) == pytest.approx(0.999909, abs=1e-6)
