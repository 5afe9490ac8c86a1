"""SENTRY: entropy falls where views agree with the sample and rises where they don't."""

import math

import pytest
import torch
from hooked import K, adapter, batch, step

from pa_difc import METHODS
from pa_difc.methods.sentry import COMMITTEE, VIEWS, SentryHook, SentryOptions, elected


def test_the_committee_decides_by_majority():
    """Plain loops: three views of four samples, whose own classes are 0, 1, 2, 3."""
    own = torch.tensor([0, 1, 2, 3])
    votes = torch.tensor([[0, 1, 0, 0], [0, 0, 2, 1], [1, 0, 2, 2]])
    consistent, which = elected(own, votes)
    assert consistent.tolist() == [True, False, True, False]
    for i in range(4):
        sides = [v for v in range(3) if (votes[v, i] == own[i]) == consistent[i]]
        assert which[i] == sides[-1]


class Table(torch.nn.Module):
    """A model whose features are its input, and whose logits are, too."""

    def forward(self, x):
        return x


def call(own, views, **options):
    hook = SentryHook(SentryOptions(**options), METHODS["sentry"].infer, ("G", "C"))
    inputs = {"G": Table(), "C": Table(), "target_imgs": own, **dict(zip(VIEWS, views, strict=False))}
    return {name: loss.item() for name, loss in hook(inputs)[1].items()}


def entropy(logits):
    p = [math.exp(z) for z in logits]
    p = [x / sum(p) for x in p]
    return -sum(x * math.log(x) for x in p)


def test_the_loss_is_the_entropy_of_the_elected_views_with_their_signs():
    own = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    first = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.0]])  # agrees, disagrees
    second = torch.tensor([[0.0, 0.7, 0.0], [0.0, 0.0, 1.5]])  # disagrees, disagrees
    third = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.4, 0.0]])  # agrees, agrees
    found = call(own, [first, second, third], sentry_weight=0.7, balance=0.2)
    assert found["sentry_loss"] == pytest.approx(0.7 * (entropy([3, 0, 1]) - entropy([0, 0, 1.5])) / 2, rel=1e-5)
    mean = (third[0].softmax(0) + second[1].softmax(0)) / 2
    assert found["balance_loss"] == pytest.approx(0.2 * (mean * mean.log()).sum().item(), rel=1e-5)


def test_without_views_every_sample_agrees_with_itself():
    own = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert call(own, [])["sentry_loss"] == pytest.approx((entropy([2, 0, 0]) + entropy([0, 1, 0])) / 2, rel=1e-5)


def test_training_makes_predictions_more_certain():
    torch.manual_seed(0)
    made = adapter("sentry", "ce", sentry_weight=5.0)
    given = batch()

    def certainty():
        return made.inference(given["target_imgs"])["logits"].softmax(dim=1).max(dim=1).values.mean()

    before = certainty()
    for _ in range(20):
        step(made)
    assert certainty() > before > 1 / K


def test_a_batch_brings_as_many_views_as_vote():
    assert adapter("sentry", "ce").reads_strong_views == COMMITTEE
    assert adapter("source_only", "ce").reads_strong_views == 0


def test_it_joins_a_method_of_two_classifiers():
    losses = step(adapter("mcd+sentry", "ce"))
    assert {"sentry_loss", "balance_loss", "discrepancy_loss"} <= losses.keys()


def test_votes_move_no_statistics_and_keep_no_graph():
    """Of four passes over faces and views, one trains: that of the elected views."""

    class Watched(Table):
        def __init__(self):
            super().__init__()
            self.norm, self.passes = torch.nn.BatchNorm1d(3), []

        def forward(self, x):
            self.passes.append((self.training, torch.is_grad_enabled()))
            return self.norm(x)

    hook, extractor = SentryHook(SentryOptions(), METHODS["sentry"].infer, ("G", "C")), Watched().train()
    views = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    hook({"G": extractor, "C": Table(), "target_imgs": views[0], **dict(zip(VIEWS, views[1:], strict=True))})
    assert extractor.passes == [(False, False)] * 4 + [(True, True)]
    assert int(extractor.norm.num_batches_tracked) == 1 and extractor.training
