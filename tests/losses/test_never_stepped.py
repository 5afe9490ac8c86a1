"""A loss whose steps or epochs nobody counts says so: it would be a loss with margins alone for good."""

import warnings

import pytest
import torch

from pa_difc import DIFCLoss, Schedule

COUNTS = [100, 20, 5]


def made(**schedule):
    return DIFCLoss(COUNTS, Schedule(**schedule))


def logits(n=6):
    return torch.randn(n, 3, requires_grad=True), torch.arange(n) % 3


def compute(loss, times, update_every=None, grad=True):
    """The warnings of so many losses, with a step after every few of them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in range(1, times + 1):
            x, y = logits()
            (loss(x, y) if grad else loss(x.detach(), y))
            if update_every and call % update_every == 0:
                loss.update(x.detach())
    return [str(one.message) for one in caught]


def test_a_hundred_losses_for_a_step_are_no_mistake_yet():
    assert compute(made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1), 100) == []


def test_no_update_at_all():
    (said,) = compute(made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1), 400)
    assert said.startswith("100 losses were computed and no step was counted") and "call update() once" in said


def test_pytorch_adapt_s_own_hook_with_the_loss_alone():
    from pytorch_adapt.hooks import CLossHook

    loss = made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1)
    model, (x, y) = torch.nn.Linear(3, 3), logits()
    hook = CLossHook(loss_fn=loss)
    with pytest.warns(UserWarning, match="attach\\(\\), or a ConfusionHook"):
        for _ in range(120):
            hook({"src_imgs": x, "src_labels": y, "G": torch.nn.Identity(), "C": model})


@pytest.mark.parametrize(
    ("schedule", "calls", "update_every"),
    [
        ({"steps_per_epoch": 4, "confusion_epoch": 2, "reweight_epoch": 1}, 300, 1),
        ({"steps_per_epoch": 4, "confusion_epoch": 2, "reweight_epoch": 1}, 640, 64),  # a gradient over 64 batches
        ({"steps_per_epoch": 4, "confusion_epoch": None, "reweight_epoch": None}, 300, None),  # nothing is to begin
    ],
)
def test_what_is_right_warns_of_nothing(schedule, calls, update_every):
    assert compute(made(**schedule), calls, update_every) == []


@pytest.mark.parametrize("loaded", [False, True])
def test_steps_that_are_counted_before_their_loss(loaded):
    loss = made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1)
    if loaded:
        compute(loss, 6, update_every=1)
        loss.load_state_dict(loss.state_dict())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(6):
            x, y = logits()
            loss.update(x.detach())
            loss(x, y)
    (said,) = [str(one.message) for one in caught]
    assert said.startswith("update() was called before the first loss, so every epoch would begin one step early: call")


def test_the_second_of_such_steps_is_enough():
    loss = made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1)
    x, y = logits()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.update(x.detach())
        loss(x, y)
        loss.update(x.detach())
    with pytest.warns(UserWarning, match="before the first loss"):
        loss(x, y)


@pytest.mark.parametrize(("skipped", "steps"), [(1, 1), (5, 6)])
def test_steps_that_are_skipped_on_purpose(skipped, steps):
    loss = made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(skipped):
            loss.update(torch.randn(2, 3))
    assert compute(loss, steps, update_every=1) == []


def test_evaluation_is_no_training():
    assert compute(made(steps_per_epoch=4, confusion_epoch=2, reweight_epoch=1), 300, grad=False) == []


def test_nobody_waits_for_what_begins_in_the_first_epoch():
    assert compute(made(confusion_epoch=0, reweight_epoch=0), 2100, update_every=1) == []


def test_epochs_that_never_end():
    loss = made(confusion_epoch=2, reweight_epoch=1)
    assert compute(loss, 2000, update_every=1) == []  # so long an epoch may be
    said = compute(loss, 100, update_every=1)
    assert len(said) == 1 and said[0].startswith("2000 steps without the end of an epoch") and "end_epoch()" in said[0]
    told = made(confusion_epoch=2, reweight_epoch=1)
    told.set_steps_per_epoch(700)
    assert compute(told, 2100, update_every=1) == []
