"""An epoch's length known, told late or learnt: the same run, or a warning."""

import copy
import io
import warnings

import pytest
import torch
from confusion_loops import confusion, raised, softmax
from torch.nn.functional import cross_entropy

from pa_difc import DIFCLoss, Schedule, make_loss
from pa_difc.losses import EpochedLoss

COUNTS = [40, 10, 90, 25]
STEPS, EPOCHS = 3, 5

VARIANTS = [
    {"confusion_epoch": 1},
    {"confusion_epoch": 2},
    {"confusion_epoch": 0},
    {"confusion_epoch": 2, "warmup_epochs": 1, "reweight_epoch": 2},
    {"confusion_epoch": 1, "warmup_epochs": 1, "reweight_epoch": 0},
    {"confusion_epoch": 1, "reweight_epoch": 1, "reweight_with_confusion": False},
    {"confusion_epoch": 1, "unseen": "least"},
    {"confusion_epoch": 1, "unseen": "last"},
    {"confusion_epoch": 1, "refresh": "once"},
    {"confusion_epoch": 2, "refresh": "once"},
    {"confusion_epoch": 1, "confusion_from": "evaluation"},
    {"confusion_epoch": None},
]
OF_THE_SCHEDULE = ("confusion_epoch", "warmup_epochs", "reweight_epoch", "reweight_with_confusion")


def made(steps, confusion_epoch=2, epsilon=0.5, **options):
    phases = {k: options.pop(k) for k in OF_THE_SCHEDULE if k in options}
    schedule = Schedule(steps, **{"reweight_epoch": 1, "confusion_epoch": confusion_epoch, **phases})
    return DIFCLoss(COUNTS, schedule, epsilon=epsilon, **options)


def target(step):
    """Target logits; class 2 is predicted in every other epoch only."""
    logits = 2.0 * torch.randn(20, 4, generator=torch.Generator().manual_seed(step))
    logits[:, 2] -= 40.0 * (step // STEPS % 2)
    return logits


def one_step(loss, step):
    """What a step sees: the loss, its gradient, what it asks for, its margins."""
    if loss.needs_evaluation:
        loss.update_from_evaluation(target(100 + step).softmax(1))
    logits = target(50 + step).requires_grad_()
    value = loss(logits, torch.arange(20) % 4)
    seen = [value.item(), torch.autograd.grad(value, logits)[0].tolist(), loss.needs_target_logits]
    seen += [loss.describe(), loss.margins.tolist()]
    loss.update(target(step) if loss.needs_target_logits else None)
    return seen


def whole_run(loss, ends=range(EPOCHS), tell_at=None, start=0, stop=STEPS * EPOCHS):
    seen = []
    for step in range(start, stop):
        if step == tell_at:
            loss.set_steps_per_epoch(STEPS)
        seen.append(one_step(loss, step))
        if (step + 1) % STEPS == 0 and step // STEPS in ends:
            loss.end_epoch()
    return seen


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_length_that_is_learnt_or_told_gives_the_run_of_one_that_is_known(options):
    known = whole_run(made(STEPS, **options), ends=())
    assert whole_run(made(None, **options)) == known
    assert whole_run(made(None, **options), ends=(0,)) == known
    assert whole_run(made(STEPS, **options)) == known  # ends that fit change nothing
    for tell_at in range(STEPS + 1):
        assert whole_run(made(None, **options), ends=(), tell_at=tell_at) == known
    margins = [step[-1] for step in known]
    if options["confusion_epoch"] is not None:  # the phases are there at all
        assert margins[0] != margins[-1]
    assert known[0][3]["reweighted"] is False and (known[4][3]["reweighted"] or "reweight_epoch" in options)


@pytest.mark.parametrize("name", ["drw", "margin", "di", "difc", "ldam", "ldam_drw"])
def test_named_losses_with_phases_can_be_told(name):
    loss = make_loss(name, COUNTS, Schedule(confusion_epoch=1, reweight_epoch=1))
    assert isinstance(loss, EpochedLoss)
    for step in range(4):
        loss.update(target(step))
    loss.end_epoch()
    assert loss.schedule.steps_per_epoch == 4 and loss.reweighted is (name not in ("margin", "ldam"))
    assert not isinstance(make_loss("ce"), EpochedLoss)


def test_an_unknown_length_is_epoch_0_and_asks_for_what_the_next_needs():
    first, second = made(None, confusion_epoch=1), made(None, confusion_epoch=2)
    for step in range(30):
        assert first.needs_target_logits and not second.needs_target_logits
        first.update(target(step)), second.update()
    assert first.margins.equal(first.base_margins) and not first.reweighted


def test_an_end_before_the_first_step_teaches_nothing():
    loss = made(None)
    loss.end_epoch()
    assert whole_run(loss) == whole_run(made(STEPS))


@pytest.mark.parametrize("cut", range(STEPS * EPOCHS + 1))
@pytest.mark.parametrize("tell_at", [None, 0, 2])
def test_resuming_anywhere_is_exact(cut, tell_at):
    ends = range(EPOCHS) if tell_at is None else ()
    make = lambda: made(None, confusion_epoch=1, warmup_epochs=1)  # noqa: E731
    straight = whole_run(make(), ends, tell_at)
    first = make()
    seen = whole_run(first, ends, tell_at, stop=cut)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    resumed = make()
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert seen + whole_run(resumed, ends, tell_at, start=cut) == straight
    told_first = make()  # as an adapter does, which knows its loader before a checkpoint is read
    told_first.set_steps_per_epoch(STEPS)
    told_first.load_state_dict(first.state_dict())
    assert seen + whole_run(told_first, ends=(), start=cut) == straight


def test_a_checkpoint_s_length_wins_over_one_that_was_told():
    first = made(None)
    whole_run(first, stop=7)
    resumed = made(None)
    resumed.set_steps_per_epoch(5)
    (said,) = warning_of(lambda: resumed.load_state_dict(first.state_dict()))
    assert "has 5 steps, the schedule's 3" in said and resumed.schedule.steps_per_epoch == STEPS


def test_checkpoints_of_0_1_0_load():
    """They have no length of their own, and confusion in float32."""
    first = made(STEPS)
    seen = whole_run(first, stop=10)
    state = copy.deepcopy(first.state_dict())
    del state["_extra_state"]["steps_per_epoch"]
    state["confusion"] = state["confusion"].float()
    resumed = made(STEPS)
    resumed.load_state_dict(state)
    again = whole_run(resumed, start=10)
    assert [s[-1] for s in seen + again] == [s[-1] for s in whole_run(made(STEPS))]
    assert set(state) == {
        "margins", "confusion", "gap_sums", "gap_counts", "base_margins", "class_weights", "_extra_state",
    }  # fmt: skip


def warning_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(w.category is UserWarning and "\n" not in str(w.message) for w in caught)
    return [str(w.message) for w in caught]


def test_a_loader_of_another_length_is_named_once_and_changes_nothing():
    loss = made(384)
    (said,) = warning_of(lambda: loss.set_steps_per_epoch(5))
    assert "384" in said and "5 steps" in said and "Schedule(steps_per_epoch=5)" in said
    assert not warning_of(lambda: (loss.set_steps_per_epoch(7), loss.end_epoch(), loss.update(), loss.end_epoch()))
    assert loss.schedule.steps_per_epoch == 384
    assert not warning_of(lambda: made(5).set_steps_per_epoch(5))
    with pytest.raises(ValueError, match="steps_per_epoch=0: must be at least 1"):
        made(None).set_steps_per_epoch(0)


def test_ends_that_do_not_fit_are_named_once():
    loss = made(384)

    def five_epochs():
        for step in range(25):
            loss.update(target(step))
            if (step + 1) % 5 == 0:
                loss.end_epoch()

    (said,) = warning_of(five_epochs)
    assert "5 steps" in said and "384" in said and "len(loader)" in said
    learnt = made(None)
    learnt.update(), learnt.update(), learnt.end_epoch(), learnt.update(target(0))
    assert len(warning_of(lambda: (learnt.end_epoch(), learnt.end_epoch()))) == 1


@pytest.mark.parametrize("tell", ["set_steps_per_epoch", "end_epoch"])
def test_a_warning_points_at_the_line_that_told(tell):
    loss = made(384)
    loss.update()
    with pytest.warns(UserWarning, match="384") as caught:
        _told(loss, tell)
    assert caught[0].filename == __file__ and caught[0].lineno == _told.__code__.co_firstlineno + 1


def _told(loss, tell):
    getattr(loss, tell)(*([5] if tell == "set_steps_per_epoch" else []))


@pytest.mark.parametrize(("steps", "fits"), [(6, True), (7, False)])
def test_after_a_checkpoint_an_epoch_ends_at_a_multiple_of_its_length(steps, fits):
    """It may have been written in the middle of one: its own steps tell nothing."""
    first = made(STEPS)
    whole_run(first, ends=(), stop=5)
    resumed = made(STEPS)
    resumed.load_state_dict(first.state_dict())
    whole_run(resumed, ends=(), start=5, stop=steps)
    said = warning_of(resumed.end_epoch)
    assert not said if fits else "ended at step 7, no multiple of the schedule's 3 steps" in said[0]


@pytest.mark.parametrize("refresh", ["epoch", "once"])
def test_told_when_epochs_have_gone_by(refresh):
    """The margins begin at once, and what was observed is used."""
    loss = made(None, confusion_epoch=1, warmup_epochs=1, refresh=refresh)
    for step in range(8):
        loss.update(target(step))
    assert not loss.margins.any()
    (said,) = warning_of(lambda: loss.set_steps_per_epoch(STEPS))
    assert "step 8" in said and "3 steps" in said and "before training" in said
    scores = confusion(softmax(torch.cat([target(s) for s in range(8)]).double().numpy()))
    expected = raised(loss.base_margins.tolist(), scores, 0.5)
    assert loss.margins.tolist() == pytest.approx(expected, rel=1e-6)


def test_warmup_is_cross_entropy_whatever_the_weights():
    loss = made(STEPS, confusion_epoch=2, warmup_epochs=1, reweight_epoch=0)
    labels = torch.arange(20) % 4
    for step in range(STEPS + 1):
        logits = target(step).requires_grad_()
        found, plain = loss(logits, labels), cross_entropy(logits, labels, reduction="none").mean()
        slopes = [torch.autograd.grad(value, logits)[0] for value in (found, plain)]
        assert found.equal(plain) is (step < STEPS) and slopes[0].equal(slopes[1]) is (step < STEPS)
        loss.update(target(step))
    assert loss.reweighted


def test_a_switch_without_an_epoch_before_it():
    with pytest.raises(ValueError, match="refresh='once' with confusion_epoch=0: no epoch comes before"):
        made(STEPS, confusion_epoch=0, refresh="once")
    evaluated = made(STEPS, confusion_epoch=0, refresh="once", confusion_from="evaluation")
    evaluated.update_from_evaluation(target(0).softmax(1))
    assert not evaluated.margins.equal(evaluated.base_margins)
    made(STEPS, confusion_epoch=0, refresh="once", epsilon=0.0)  # nothing to raise
    loss = made(STEPS, confusion_epoch=0)
    margins = [step[-1] for step in whole_run(loss, stop=STEPS + 1)]
    assert all(m == loss.base_margins.tolist() for m in margins[:STEPS])
    scores = confusion(softmax(torch.cat([target(s) for s in range(STEPS)]).double().numpy()))
    assert margins[STEPS] == pytest.approx(raised(loss.base_margins.tolist(), scores, 0.5), rel=1e-6)


def test_a_step_s_refresh_needs_to_know_how_long_to_remember():
    with pytest.raises(ValueError, match="give the schedule steps_per_epoch"):
        made(None, refresh="step")


@pytest.mark.parametrize("steps", [2, 4])
def test_a_step_s_refresh_forgets_with_a_horizon_of_an_epoch(steps):
    """Sums shrink by 1 − 1/steps each step: a class that was confused long ago no longer ranks first."""
    loss = made(steps, confusion_epoch=0, refresh="step")
    sums, sizes = [0.0] * 4, [0.0] * 4
    sure = 6.0 * torch.eye(4).repeat(5, 1)
    for step in range(12):
        unsure = 0 if step < 4 else 3
        logits = sure.clone()
        logits[unsure::4] *= 0.1 + 0.01 * step
        for k, p in enumerate(softmax(logits.double().numpy())[:4]):
            first, second = sorted(p)[:-3:-1]
            sums[k] = (1 - 1 / steps) * sums[k] + 5 * (first - second)
            sizes[k] = (1 - 1 / steps) * sizes[k] + 5
        loss.update(logits)
        expected = raised(loss.base_margins.tolist(), [n / s for n, s in zip(sizes, sums, strict=True)], 0.5)
        assert loss.margins.tolist() == pytest.approx(expected, rel=1e-5), step
    assert (loss.margins - loss.base_margins).argmax() == 3
