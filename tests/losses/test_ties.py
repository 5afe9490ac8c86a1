"""What equal probabilities and equal scores mean."""

import pytest
import torch

from pa_difc import DIFCLoss, Schedule
from pa_difc.functional import class_margins, confusion_margins, confusion_scores, gap_sums, mean_probs

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("k", [2, 3, 7, 8, 1000])
def test_a_tie_counts_for_its_first_class_as_predictions_do(dtype, k):
    uniform = torch.zeros(5, k, dtype=dtype)
    last_two = torch.cat([torch.zeros(3, k - 2, dtype=dtype), torch.ones(3, 2, dtype=dtype)], dim=1)
    logits = torch.cat([uniform, last_two])
    sizes = gap_sums(mean_probs(logits))[1].tolist()
    expected = [0.0] * k
    expected[0] += 5
    expected[k - 2] += 3
    assert sizes == expected == logits.argmax(1).bincount(minlength=k).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_margin_that_a_tie_raises(dtype):
    """Uniform target predictions are all of class 0: seen and hopelessly confused, while no other class is seen."""
    loss = DIFCLoss([4] * 7, Schedule(steps_per_epoch=1, confusion_epoch=1), epsilon=0.64, unseen="least")
    loss.update(torch.zeros(9, 7, dtype=dtype))
    raised = (loss.margins - loss.base_margins).tolist()
    assert raised == pytest.approx([0.64] + [0.64 * (2**-1 + 2**-2 + 2**-3 + 2**-4 + 2**-5 + 2**-6) / 6] * 6, rel=1e-5)
    two = DIFCLoss([4] * 7, Schedule(steps_per_epoch=1, confusion_epoch=1), epsilon=0.64, unseen="least")
    two.update([torch.zeros(9, 7, dtype=dtype)] * 2)
    assert two.margins.equal(loss.margins)


def test_two_classes_never_predicted_share_the_first_two_increments():
    z = 3 * torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    z[:, [1, 3]] = -30.0
    loss = DIFCLoss([40, 10, 90, 25, 60], Schedule(steps_per_epoch=1, confusion_epoch=1), epsilon=0.8)
    loss.update(z)
    raised = (loss.margins - loss.base_margins).tolist()
    assert [raised[1], raised[3]] == pytest.approx([(0.8 + 0.4) / 2] * 2, rel=1e-5)
    assert sorted(raised)[:3] == pytest.approx([0.05, 0.1, 0.2], rel=1e-5)


def test_the_numbers_of_classes_decide_nothing():
    scores = torch.tensor([2.0, torch.inf, 1.0, torch.inf, 2.0, torch.inf])
    margins = confusion_margins(class_margins([7, 3, 9, 4, 5, 6]), scores)
    order = torch.tensor([5, 4, 3, 0, 2, 1])
    permuted = confusion_margins(class_margins([[7, 3, 9, 4, 5, 6][k] for k in order]), scores[order])
    assert permuted.equal(margins[order])
    assert (margins - class_margins([7, 3, 9, 4, 5, 6])).sum().item() == pytest.approx(0.02 * (2 - 2**-5), rel=1e-5)


def test_300_unseen_classes_of_345_take_all_of_epsilon_or_none():
    probs = (10 * torch.eye(345)[torch.arange(90) % 45] + torch.arange(90)[:, None] % 45 * 0.01).softmax(1)
    scores = confusion_scores(probs)
    seen, unseen = scores.isfinite(), scores.isinf()
    most = confusion_margins(torch.zeros(345), scores, 1.0)
    assert most[unseen].sum().item() == pytest.approx(2.0) and most[unseen].unique().numel() == 1
    least = confusion_margins(torch.zeros(345), scores.where(seen, -torch.inf), 1.0)
    assert least[seen].sum().item() == pytest.approx(2.0) and least[unseen].max() < 1e-12
