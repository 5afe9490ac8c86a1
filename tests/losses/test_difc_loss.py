"""The loss with state: phases, refreshes, variants, exact resume."""

import io
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pa_difc import DIFCLoss, Schedule, make_loss
from pa_difc.functional import class_margins, confusion_margins, confusion_scores, di_loss, drw_weights
from pa_difc.losses import mean_probs

COUNTS = [40, 10, 90, 25]


def schedule(steps=3, **kwargs):
    return Schedule(**{"steps_per_epoch": steps, "confusion_epoch": 2, "reweight_epoch": 1, **kwargs})


def logits(seed, n=20, k=4, spread=2.0):
    return spread * torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def run(loss, steps, start=0):
    for step in range(start, start + steps):
        loss.update(logits(step))
    return loss


def save_and_load(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_di_phase_is_the_paper_s_equation_3():
    loss, z, y = DIFCLoss(COUNTS, schedule()), logits(0), torch.arange(20) % 4
    assert loss(z, y).equal(di_loss(z, y, class_margins(COUNTS)))


def test_margins_in_units_of_the_spread_scale_with_the_logits():
    """A network whose logits are all c times as large gets c times the margin: its samples are lowered alike."""
    loss, z, y = DIFCLoss(COUNTS, schedule(), margin_unit="spread"), logits(0), torch.arange(20) % 4
    for c in (1.0, 7.0):
        spread = np.std((c * z).numpy(), axis=1).mean()
        torch.testing.assert_close(loss(c * z, y), di_loss(c * z, y, class_margins(COUNTS) * spread))
    assert not loss(z, y).equal(DIFCLoss(COUNTS, schedule())(z, y))


def test_class_weights_join_at_their_epoch():
    loss, z, y = DIFCLoss(COUNTS, schedule()), logits(0), torch.arange(20) % 4
    run(loss, 2)
    assert not loss.reweighted
    run(loss, 1)
    assert loss.reweighted
    assert loss(z, y).equal(di_loss(z, y, class_margins(COUNTS), drw_weights(COUNTS)))


def test_margins_follow_the_confusion_of_the_epoch_before():
    loss = run(DIFCLoss(COUNTS, schedule(), epsilon=0.5), 6)  # two epochs of three steps
    seen = torch.cat([logits(step) for step in (3, 4, 5)])
    expected = confusion_margins(class_margins(COUNTS), confusion_scores(seen.softmax(1)), 0.5)
    torch.testing.assert_close(loss.margins, expected)
    run(loss, 3, start=6)
    seen = torch.cat([logits(step) for step in (6, 7, 8)])
    expected = confusion_margins(class_margins(COUNTS), confusion_scores(seen.softmax(1)), 0.5)
    torch.testing.assert_close(loss.margins, expected)  # from the base margins, not on top of the last


def test_the_second_phase_uses_them():
    loss, y = run(DIFCLoss(COUNTS, schedule(), epsilon=0.5), 6), torch.arange(20) % 4
    assert loss(logits(0), y).equal(di_loss(logits(0), y, loss.margins, loss.class_weights))
    assert not loss.margins.equal(loss.base_margins)


def test_warmup_is_cross_entropy_to_the_bit():
    loss = DIFCLoss(COUNTS, schedule(warmup_epochs=1))
    z, y = logits(0), torch.arange(20) % 4
    assert loss(z, y).equal(torch.nn.functional.cross_entropy(z, y, reduction="none").mean())
    run(loss, 3)
    assert loss.margins.equal(loss.base_margins)


def test_two_classifiers_are_averaged_after_the_softmax():
    first, second = logits(1), logits(2)
    expected = (first.softmax(1) + second.softmax(1)) / 2
    torch.testing.assert_close(mean_probs([first, second]), expected)
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1))
    loss.update([first, second])
    torch.testing.assert_close(loss.confusion, confusion_scores(mean_probs([first.double(), second.double()])))


def never_class_2(seed):
    z = logits(seed)
    z[:, 2] = -20.0
    return z


@pytest.mark.parametrize(("unseen", "rank"), [("most", 0), ("least", 3)])
def test_an_unseen_class_ranks_where_it_is_told(unseen, rank):
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1), epsilon=0.8, unseen=unseen)
    loss.update(never_class_2(0))
    assert (loss.margins - loss.base_margins)[2].item() == pytest.approx(0.8 / 2**rank, rel=1e-5)


def test_an_unseen_class_may_keep_its_last_score():
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1), unseen="last")
    loss.update(logits(0))
    known = loss.confusion[2].item()
    loss.update(never_class_2(1))
    assert loss.confusion[2].item() == pytest.approx(known) and math.isfinite(known)


def test_a_last_score_is_only_for_a_class_that_is_unseen_now_and_was_seen_before():
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1), epsilon=0.5, unseen="last")
    for seed in (0, 1):
        loss.update(never_class_2(seed))  # the others score anew each time, 2 as most confused
        expected = confusion_scores(never_class_2(seed).double().softmax(1))
        assert expected[2].item() == math.inf
        torch.testing.assert_close(loss.confusion, expected)


def test_refresh_once_is_algorithm_1_read_literally():
    loss = run(DIFCLoss(COUNTS, schedule(), epsilon=0.5, refresh="once"), 6)
    at_switch = loss.margins.clone()
    run(loss, 9, start=6)
    assert loss.margins.equal(at_switch) and not at_switch.equal(loss.base_margins)
    assert not loss.needs_target_logits


def test_refresh_each_step_moves_within_an_epoch():
    loss = run(DIFCLoss(COUNTS, schedule(steps=50, confusion_epoch=0), epsilon=0.5, refresh="step"), 1)
    assert loss.margins.equal(confusion_margins(class_margins(COUNTS), confusion_scores(logits(0).softmax(1)), 0.5))
    before = loss.confusion.clone()
    run(loss, 1, start=7)
    assert not loss.confusion.equal(before)


def test_an_evaluation_pass_replaces_the_running_estimate():
    loss = DIFCLoss(COUNTS, schedule(), epsilon=0.5, confusion_from="evaluation")
    for _ in range(6):
        assert not loss.needs_target_logits and not loss.needs_evaluation
        loss.update()
    assert loss.needs_evaluation
    probs = logits(11).softmax(1)
    loss.update_from_evaluation(probs)
    expected = confusion_margins(class_margins(COUNTS), confusion_scores(probs), 0.5)
    torch.testing.assert_close(loss.margins, expected)
    loss.update()
    with pytest.raises(ValueError, match="no evaluation is due"):
        loss.update_from_evaluation(probs)


def test_target_logits_are_asked_for_only_where_they_are_used():
    loss = DIFCLoss(COUNTS, schedule())
    asked = []
    for step in range(9):
        asked.append(loss.needs_target_logits)
        loss.update(logits(step) if asked[-1] else None)
    assert asked == [False] * 3 + [True] * 6
    with pytest.raises(ValueError, match="needs target_logits"):
        loss.update()


@pytest.mark.parametrize(
    ("options", "confusion_epoch", "uses"),
    [
        ({}, 7, True),
        ({}, None, False),
        ({"epsilon": 0.0}, 7, False),
        ({"confusion_from": "evaluation"}, 7, False),
        ({"confusion_from": "evaluation"}, None, False),
    ],
)
def test_target_logits_are_of_use_where_update_reads_them_sooner_or_later(options, confusion_epoch, uses):
    assert DIFCLoss(COUNTS, schedule(confusion_epoch=confusion_epoch), **options).uses_target is uses


def test_given_class_weights_are_used_as_they_are():
    hand_set = [1.75, 3, 2, 1]
    loss = DIFCLoss(COUNTS, schedule(), class_weights=hand_set)
    assert loss.class_weights.tolist() == hand_set


@pytest.mark.parametrize(
    ("name", "margins", "weights", "confusion"),
    [
        ("drw", False, True, False),
        ("margin", True, False, False),
        ("di", True, True, False),
        ("difc", True, True, True),
    ],
)
def test_named_losses_hold_their_ingredients_and_no_other(name, margins, weights, confusion):
    options = {"epsilon": 0.5} if confusion else {}
    loss = run(make_loss(name, COUNTS, schedule(), **options), 6)
    assert bool(loss.base_margins.any()) is margins
    assert loss.reweighted is weights
    assert (not loss.margins.equal(loss.base_margins)) is confusion


def test_no_gradient_reaches_the_state():
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=0))
    z = logits(0).requires_grad_()
    loss(z, torch.arange(20) % 4)
    loss.update(z)
    assert not any(b.requires_grad for b in loss.buffers()) and not list(loss.parameters())


def test_state_is_written_by_update_alone():
    loss = run(DIFCLoss(COUNTS, schedule()), 7)
    before = save_and_load(loss.state_dict())
    loss(logits(3), torch.arange(20) % 4)
    for name, value in loss.state_dict().items():
        assert value.equal(before[name]) if isinstance(value, torch.Tensor) else value == before[name], name


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 14),
    st.sampled_from(["most", "least", "last"]),
    st.sampled_from(["epoch", "once", "step"]),
)
def test_resuming_anywhere_is_exact(cut, unseen, refresh):
    make = lambda: DIFCLoss(COUNTS, schedule(), epsilon=0.4, unseen=unseen, refresh=refresh)  # noqa: E731
    straight = run(make(), 15)
    resumed = make()
    resumed.load_state_dict(save_and_load(run(make(), cut).state_dict()))
    run(resumed, 15 - cut, start=cut)
    assert resumed.step == straight.step
    for name, value in straight.named_buffers():
        assert torch.equal(value, resumed.get_buffer(name)) or value.isnan().any(), name


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"class_counts": [40, 10, 90]}, "class_counts"),
        ({"class_counts": [40, 10, 90, 26]}, "class_counts"),
        ({"schedule": schedule(steps=4)}, "schedule"),
        ({"schedule": schedule(confusion_epoch=3)}, "schedule"),
        ({"epsilon": 0.03}, "epsilon"),
        ({"max_margin": 0.2}, "max_margin"),
        ({"margin_unit": "spread"}, "margin_unit"),
        ({"unseen": "least"}, "unseen"),
        ({"beta": 0.9}, "class_weights"),
        ({"label_smoothing": 0.1}, "label_smoothing"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_and_nothing_is_changed(change, word):
    state = run(DIFCLoss(COUNTS, schedule()), 8).state_dict()
    other = DIFCLoss(**{"class_counts": COUNTS, "schedule": schedule(), **change})
    before = save_and_load(other.state_dict())
    with pytest.raises(ValueError, match=f"other settings: {word}"):
        other.load_state_dict(state)
    assert other.step == 0 and other.margins.equal(before["margins"])


def test_weights_that_another_machine_rounds_otherwise_are_those_of_the_checkpoint():
    state = DIFCLoss(COUNTS, schedule(), class_weights=[1.75, 3, 2, 1]).state_dict()
    DIFCLoss(COUNTS, schedule(), class_weights=[1.7500002, 3, 2, 1]).load_state_dict(state)
    with pytest.raises(ValueError, match="other settings: class_weights"):
        DIFCLoss(COUNTS, schedule(), class_weights=[1.750002, 3, 2, 1]).load_state_dict(state)


@pytest.mark.parametrize(
    "wrong",
    [
        {"class_counts": [1, 0]},
        {"max_margin": -1},
        {"epsilon": -1},
        {"beta": 2},
        {"scale": 0},
        {"unseen": "x"},
        {"refresh": "x"},
        {"confusion_from": "x"},
        {"confusion_from": "evaluation", "refresh": "step"},
        {"label_smoothing": 1.5},
        {"class_weights": [1, 2]},
        {"class_weights": [1, 2, 3, 0]},
    ],
)
def test_values_that_do_not_fit(wrong):
    with pytest.raises(ValueError) as error:
        DIFCLoss(**{"class_counts": COUNTS, "schedule": schedule(), **wrong})
    assert "\n" not in str(error.value)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="unknown loss 'dfic': did you mean 'difc'"):
        make_loss("dfic")


def test_a_named_loss_without_counts_says_so():
    with pytest.raises(ValueError, match="needs class_counts"):
        make_loss("difc")


@pytest.mark.parametrize(("unseen", "score"), [("most", "inf"), ("least", "-inf")])
def test_describe_is_strict_json(unseen, score):
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1), unseen=unseen)
    assert loss.describe()["confusion"] == [None] * 4
    loss.update(never_class_2(0))
    told = json.loads(json.dumps(loss.describe(), allow_nan=False))
    expected = confusion_scores(never_class_2(0).double().softmax(1)).tolist()
    assert told["confusion"] == [*map(pytest.approx, expected[:2]), score, pytest.approx(expected[3])]
    assert told["margins"] == loss.margins.tolist() and told["phase"] == "difc" and told["reweighted"] is True


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("two", [False, True])
def test_target_logits_that_are_not_finite_are_refused_and_change_nothing(value, two):
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1), refresh="epoch")
    before, wrong = loss.state_dict(), never_class_2(0)
    wrong[3, 1] = wrong[5, 0] = value
    with pytest.raises(ValueError, match=rf"^target_logits must be finite, not NaN .* in 2 of {len(wrong)} rows$"):
        loss.update([never_class_2(0), wrong] if two else wrong)
    assert loss.step == 0 and str(loss.state_dict()) == str(before)
    masked = never_class_2(0)
    masked[:, 2] = -math.inf  # how a class is ruled out
    loss.update(masked)
    assert loss.confusion[:2].isfinite().all()


def test_probabilities_of_an_evaluation_that_are_not_finite_are_refused():
    loss = DIFCLoss(COUNTS, schedule(steps=1, confusion_epoch=1), confusion_from="evaluation")
    loss.update()
    wrong = never_class_2(0).softmax(1)
    wrong[3, 1] = math.nan
    with pytest.raises(ValueError, match=f"^probs must be finite, not NaN or infinite in 1 of {len(wrong)} rows$"):
        loss.update_from_evaluation(wrong)
    assert loss.needs_evaluation


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_described_phase_is_difc_only_once_confusion_was_measured(epsilon):
    loss = DIFCLoss(COUNTS, schedule(steps=2, confusion_epoch=0), epsilon=epsilon)
    phases = []
    for logits in (never_class_2(0)[:0], never_class_2(0)[:0], never_class_2(0), never_class_2(0), never_class_2(0)):
        phases.append(loss.describe()["phase"])
        loss.update(logits)
        assert (loss.describe()["phase"] == "difc") == bool((loss.margins > loss.base_margins).any())
    assert phases == ["di"] * (4 if epsilon else 5) + ["difc"] * bool(epsilon)
