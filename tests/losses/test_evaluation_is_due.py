"""Confusion from an evaluation pass: whoever trains makes the pass, and a loss that never gets it says so."""

import pytest
import torch

from pa_difc import DIFCLoss, Schedule
from pa_difc.util.errors import UserError

COUNTS = [40, 5, 20, 10]
SAID = r"^step 6 begins epoch 2, and confusion_from='evaluation' needs .*: call update_from_evaluation\(probs\)"


def made(confusion_epoch=2, **options):
    schedule = Schedule(steps_per_epoch=3, confusion_epoch=confusion_epoch, reweight_epoch=1)
    return DIFCLoss(COUNTS, schedule, epsilon=0.5, confusion_from="evaluation", **options)


def source(grad=True):
    return torch.randn(8, 4, requires_grad=grad), torch.arange(8) % 4


def probabilities(seed=0, dtype=torch.float32):
    return torch.randn(30, 4, generator=torch.Generator().manual_seed(seed)).to(dtype).softmax(1)


def step(loss):
    loss(*source()).backward()
    loss.update()


def test_a_loop_without_the_pass_stops_at_the_epoch_that_needs_it_and_can_go_on():
    loss = made()
    for _ in range(6):
        step(loss)
    for train in (lambda: loss(*source()), loss.update):
        with pytest.raises(UserError, match=SAID) as error:
            train()
        assert "\n" not in str(error.value) and loss.step == 6
    loss(*source(grad=False))  # a validation loss is no training
    loss.update_from_evaluation(probabilities())
    assert not loss.needs_evaluation
    for _ in range(3):
        step(loss)
    assert loss.needs_evaluation
    with pytest.raises(UserError, match="step 9 begins epoch 3"):
        step(loss)


def test_a_pass_may_be_made_again_before_the_step():
    loss, other = made(confusion_epoch=0), made(confusion_epoch=0)
    for seed in (1, 2):
        loss.update_from_evaluation(probabilities(seed))
    other.update_from_evaluation(probabilities(2))
    assert loss.margins.equal(other.margins)


def test_a_checkpoint_after_the_pass_needs_no_other():
    loss, resumed = made(confusion_epoch=0), made(confusion_epoch=0)
    loss.update_from_evaluation(probabilities())
    resumed.load_state_dict(loss.state_dict())
    assert not resumed.needs_evaluation
    step(resumed)


def test_nothing_is_asked_for_where_nothing_follows_from_it():
    once = made(refresh="once")
    for _ in range(6):
        step(once)
    once.update_from_evaluation(probabilities())
    for _ in range(6):
        step(once)
    never = DIFCLoss(COUNTS, Schedule(1, confusion_epoch=0), epsilon=0.0, confusion_from="evaluation")
    step(never)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.randn(30, 4, generator=torch.Generator().manual_seed(0)),
        probabilities().log(),
        2 * probabilities(),
        torch.tensor([[1.5, -0.5, 0.0, 0.0]]),
    ],
    ids=["logits", "logarithms", "sums", "negative"],
)
def test_what_is_no_probability_is_refused_and_changes_nothing(wrong):
    loss = made(confusion_epoch=0)
    before = str(loss.state_dict())
    with pytest.raises(ValueError, match=r"^probs from .*: rows must be probabilities, .* logits.softmax\(1\)$"):
        loss.update_from_evaluation(wrong)
    assert loss.needs_evaluation and str(loss.state_dict()) == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_probabilities_of_any_precision_are_accepted(dtype):
    loss = made(confusion_epoch=0)
    loss.update_from_evaluation(probabilities(dtype=dtype))
    assert not loss.needs_evaluation
