"""Settings are those a loss was made with: no later change, no half of a state, no value of another kind."""

import warnings

import pytest
import torch

from pa_difc import DIFCLoss, Schedule, make_loss
from pa_difc.losses import LogitAdjustedLoss, WeightedLoss

COUNTS = [40, 5, 20]
LATER = {"max_margin": 3.0, "epsilon": 0.5, "beta": 0.5, "scale": 2.0, "unseen": "least", "refresh": "once"}
LATER |= {"confusion_from": "evaluation", "margin_unit": "spread", "label_smoothing": 0.1, "ignore_index": 1}
LATER |= {"class_counts": [1, 2, 3], "class_weights": torch.ones(3), "schedule": Schedule(7)}


def made(**options):
    return DIFCLoss(COUNTS, Schedule(2, confusion_epoch=1, reweight_epoch=1), **options)


@pytest.mark.parametrize("name", LATER)
def test_a_setting_of_difc_cannot_change(name):
    loss = made()
    before = str(loss.state_dict())
    with pytest.raises(AttributeError, match=f"{name} of a DIFCLoss is fixed: make a new loss"):
        setattr(loss, name, LATER[name])
    assert str(loss.state_dict()) == before


def test_settings_of_other_losses_that_would_have_no_effect():
    for loss, name in (
        (LogitAdjustedLoss(COUNTS), "tau"),
        (WeightedLoss(torch.ones(3)), "class_weights"),
        (make_loss("cosface", num_classes=3), "label_smoothing"),
    ):
        with pytest.raises(AttributeError, match=f"{name} of a .* is fixed"):
            setattr(loss, name, 0.5)
    loss = make_loss("focal")
    loss.gamma = 3.0  # read at each call
    loss.own = 1


@pytest.mark.parametrize("missing", ["_extra_state", "margins"])
@pytest.mark.parametrize("prefix", ["", "difc."])
def test_half_a_state_is_refused_and_changes_nothing(missing, prefix):
    trained, loss = made(), made()
    for _ in range(3):
        trained.update(torch.randn(8, 3))
    holder = torch.nn.ModuleDict({"difc": loss}) if prefix else loss
    state = {f"{prefix}{k}": v for k, v in trained.state_dict().items() if k != missing}
    before = str(loss.state_dict())
    with pytest.raises(ValueError, match=f"this DIFC state has no {missing}: save and load the whole"):
        holder.load_state_dict(state, strict=False)
    assert str(loss.state_dict()) == before
    holder.load_state_dict({}, strict=False)  # a checkpoint without the loss


@pytest.mark.parametrize("schedule", [4, {"steps_per_epoch": 4}, "4"])
def test_a_schedule_of_another_kind(schedule):
    for make in (lambda: DIFCLoss(COUNTS, schedule), lambda: make_loss("difc", COUNTS, schedule)):
        with pytest.raises(ValueError, match=r"such as Schedule\(steps_per_epoch=100\)$"):
            make()


@pytest.mark.parametrize("name", ["max_margin", "epsilon", "beta", "scale", "label_smoothing"])
@pytest.mark.parametrize("value", ["0.3", None, [0.3]])
def test_numbers_of_another_kind(name, value):
    with pytest.raises(ValueError, match=f"^{name}=.*: must be a number$"):
        made(**{name: value})


def test_class_weights_and_choices_of_another_kind():
    with pytest.raises(ValueError, match="class_weights='abc': must be 3 numbers"):
        made(class_weights="abc")
    with pytest.raises(ValueError, match="unseen='3': must be one of most"):
        made(unseen=3)


def step(loss, updates, n=8):
    loss(torch.randn(n, 3, requires_grad=True), torch.arange(n) % 3)
    for _ in range(updates):
        loss.update(torch.randn(n, 3))


def test_two_updates_a_step_are_warned_of_once():
    loss = made()
    with pytest.warns(UserWarning, match="update\\(\\) was called twice in a row at step 2, .*once after each") as said:
        step(loss, 1), step(loss, 2), step(loss, 2)
    assert len(said) == 1


def test_a_step_without_target_samples_counts():
    loss = made()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(loss, 1)
        loss(torch.randn(3, 3, requires_grad=True), torch.arange(3))
        before = loss.gap_counts.clone()
        loss.update(torch.randn(0, 3))
    assert loss.step == 2 and before.sum() == 8


def test_micro_batches_weighed_by_their_share_give_the_whole_batch_s_loss():
    """As docs/method.md says."""
    loss = DIFCLoss(COUNTS, Schedule(1, confusion_epoch=None, reweight_epoch=0))
    logits, labels = torch.randn(9, 3, requires_grad=True), torch.tensor([0, 0, 0, 0, 1, 2, 0, 1, 1])
    whole = loss(logits, labels)
    total = loss.sample_weights(labels).sum()
    parts = [slice(0, 4), slice(4, 9)]
    shared = sum(loss(logits[p], labels[p]) * loss.sample_weights(labels[p]).sum() / total for p in parts)
    torch.testing.assert_close(shared, whole)
    assert not torch.allclose(sum(loss(logits[p], labels[p]) for p in parts) / 2, whole)
