"""Label smoothing in every loss, q = (1 − α)·onehot + α/K with α away from 0, against plain loops."""

import math

import pytest
import torch
from loss_loops import COUNTS, K, N, logs, loop, lowered, made, probs, random_batch

from pa_difc import LOSSES
from pa_difc.util.errors import UserError

ALPHA = 0.3


@pytest.fixture
def batch():
    return random_batch()


def smoothed(losses, y):
    """Σ_k q_k ℓ_k of one sample."""
    return sum(((1 - ALPHA) * (k == y) + ALPHA / len(losses)) * value for k, value in enumerate(losses))


SHARES = [n / sum(COUNTS) for n in COUNTS]
MARGINS = [0.3 * (min(COUNTS) / n) ** 0.25 for n in COUNTS]
SMOOTHED = {
    "ce": lambda z, y: logs(z),
    "focal": lambda z, y: [(1 - p) ** 2 * -math.log(p) for p in probs(z)],
    "logit_adjusted": lambda z, y: logs([v + math.log(s) for v, s in zip(z, SHARES, strict=True)]),
    "balanced_softmax": lambda z, y: logs([v + math.log(s) for v, s in zip(z, SHARES, strict=True)]),
    "margin": lambda z, y: logs(lowered(z, y, MARGINS[y])),
    "difc": lambda z, y: logs(lowered(z, y, MARGINS[y])),
    "cosface": lambda z, y: logs(lowered(z, y, 0.35)),
    "arcface": lambda z, y: logs(
        [math.cos(math.acos(v) + math.radians(28.6)) if k == y else v for k, v in enumerate(z)]
    ),
}


@pytest.mark.parametrize("name", SMOOTHED)
def test_label_smoothing_against_loops(name, batch):
    logits = 1.6 * torch.rand(N, K, dtype=torch.float64) - 0.8 if name in ("cosface", "arcface") else batch[0]
    expected = loop((logits, batch[1]), lambda z, y: smoothed(SMOOTHED[name](z, y), y))
    found = made(name, label_smoothing=ALPHA, scale=1.0)(logits, batch[1]).mean()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert not found.isclose(made(name, scale=1.0)(logits, batch[1]).mean())


@pytest.mark.parametrize("name", ["weighted_inverse", "weighted_effective", "drw", "di"])
def test_a_class_weight_multiplies_the_whole_smoothed_loss(name, batch):
    weights = [1 / n for n in COUNTS] if name == "weighted_inverse" else [1 / (1 - 0.9999**n) for n in COUNTS]
    margins = MARGINS if name == "di" else [0.0] * K
    loss = made(name, label_smoothing=ALPHA)
    for _ in range(2 if name in ("drw", "di") else 0):
        loss.update()  # to the epoch in which class weights join
    rows = [(z.tolist(), int(y)) for z, y in zip(*batch, strict=True)]
    total = sum(weights[y] * smoothed(logs(lowered(z, y, margins[y])), y) for z, y in rows)
    assert loss(*batch).item() == pytest.approx(total / sum(weights[y] for _, y in rows), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_no_smoothing_is_the_loss_itself_to_the_bit(name, batch):
    logits = batch[0] / 10
    assert made(name, label_smoothing=0.0)(logits, batch[1]).equal(made(name)(logits, batch[1]))
    with pytest.raises(UserError, match=r"label_smoothing=1.5: must be in \[0, 1\]"):
        made(name, label_smoothing=1.5)
