"""The equations against numbers and plain-Python loops written from the papers."""

import math

import pytest
import torch

from pa_difc.functional import (
    class_margins,
    confusion_margins,
    confusion_scores,
    di_loss,
    drw_weights,
    imbalance_ratio,
)

RAF_DB = [1290, 281, 717, 4772, 1982, 705, 2524]


def test_raf_db_margins():
    expected = [0.204951, 0.300000, 0.237366, 0.147782, 0.184086, 0.238369, 0.173291]
    assert class_margins(RAF_DB).tolist() == pytest.approx(expected, abs=1e-6)


def test_raf_db_gamma_follows_from_the_cap():
    gamma = class_margins(torch.tensor(RAF_DB, dtype=torch.float64))[0].item() * 1290**0.25
    assert gamma == pytest.approx(1.2283, abs=5e-5)


def test_raf_db_imbalance_ratio():
    expected = [4.591, 1, 2.552, 16.982, 7.053, 2.509, 8.982]
    assert imbalance_ratio(RAF_DB).tolist() == pytest.approx(expected, abs=5e-4)


def test_raf_db_drw_weights():
    expected = [0.671175, 2.931532, 1.174008, 0.214056, 0.451793, 1.193284, 0.364152]
    assert drw_weights(RAF_DB).tolist() == pytest.approx(expected, abs=1e-6)


def test_increments_for_seven_ranks():
    scores = torch.tensor([7.0, 6, 5, 4, 3, 2, 1])
    expected = [0.02, 0.01, 0.005, 0.0025, 0.00125, 0.000625, 0.0003125]
    assert confusion_margins(torch.zeros(7), scores).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("cap", [0.3, 0.05, 2.0])
@pytest.mark.parametrize("counts", [RAF_DB, [1, 10_000], [3, 3, 3]])
def test_margins_against_a_loop(counts, cap):
    gamma = cap * min(counts) ** 0.25
    expected = [gamma / n**0.25 for n in counts]
    assert class_margins(torch.tensor(counts).double(), cap).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999, 0.999999999, 1.0])
def test_drw_weights_against_a_loop(beta):
    raw = [1 / n if beta == 1 else (1 - beta) / (1 - beta**n) for n in RAF_DB]
    expected = [len(raw) * w / sum(raw) for w in raw]
    assert drw_weights(torch.tensor(RAF_DB).double(), beta).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.5, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_di_loss_against_a_loop(scale, weighted):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (11,), generator=generator)
    margins = torch.rand(5, generator=generator, dtype=torch.float64)
    weights = torch.rand(5, generator=generator, dtype=torch.float64) + 0.1 if weighted else None

    total = mass = 0.0
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        own = math.exp(scale * (z[y] - margins[y].item()))
        others = sum(math.exp(scale * z[k]) for k in range(5) if k != y)
        w = weights[y].item() if weighted else 1.0
        total += w * -math.log(own / (own + others))
        mass += w
    assert di_loss(logits, labels, margins, weights, scale).item() == pytest.approx(total / mass, rel=1e-12)


def test_weighted_loss_divides_by_the_weights_as_torch_does():
    logits, labels = torch.randn(64, 7, dtype=torch.float64), torch.arange(64) % 7
    weights = drw_weights(torch.tensor(RAF_DB).double())
    expected = torch.nn.functional.cross_entropy(logits, labels, weights)
    assert di_loss(logits, labels, torch.zeros(7).double(), weights).item() == pytest.approx(expected.item(), rel=1e-12)


def test_confusion_scores_against_a_loop():
    probs = torch.randn(200, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)
    gaps: dict[int, list[float]] = {k: [] for k in range(6)}
    for p in probs.tolist():
        first, second = sorted(p, reverse=True)[:2]
        gaps[p.index(first)].append(max(first - second, 1e-6))
    expected = [len(g) / sum(g) if g else math.inf for g in gaps.values()]
    assert confusion_scores(probs).tolist() == pytest.approx(expected, rel=1e-12)


def test_confusion_of_ties_is_finite_and_of_unseen_classes_infinite():
    assert confusion_scores(torch.full((4, 3), 1 / 3, dtype=torch.float64)).tolist() == pytest.approx(
        [1e6, math.inf, math.inf]
    )


@pytest.mark.parametrize("epsilon", [0.02, 0.5])
def test_confusion_margins_against_a_loop(epsilon):
    margins = torch.tensor([0.1, 0.3, 0.2, 0.15, 0.05, 0.0], dtype=torch.float64)
    confusion = torch.tensor([2.0, math.inf, 1.5, 2.0, -math.inf, 2.0], dtype=torch.float64)
    ranks = {1: [1], 0: [2, 3, 4], 3: [2, 3, 4], 5: [2, 3, 4], 2: [5], 4: [6]}  # those of a tie are shared
    expected = margins.tolist()
    for k, shared in ranks.items():
        expected[k] += sum(epsilon / 2 ** (j - 1) for j in shared) / len(shared)
    assert confusion_margins(margins, confusion, epsilon).tolist() == pytest.approx(expected, rel=1e-12)


def test_a_rank_one_minority_class_may_pass_the_cap():
    margins = confusion_margins(class_margins([1, 100]), torch.tensor([9.0, 1.0]))
    assert margins.max().item() == pytest.approx(0.32)
