"""Losses of a small batch by plain loops, for tests of their equations."""

import math

import torch

from pa_difc import Schedule, make_loss

N, K = 12, 5
COUNTS = [40, 3, 17, 120, 9]


def random_batch():
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(N, K, generator=generator, dtype=torch.float64), torch.arange(N) % K


def probs(row):
    top = max(row)
    exp = [math.exp(z - top) for z in row]
    return [e / sum(exp) for e in exp]


def made(name, counts=COUNTS, **kwargs):
    return make_loss(name, counts, Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=1), **kwargs)


def loop(batch, value):
    """Mean over samples of value(logits, label)."""
    rows = [value(row.tolist(), int(y)) for row, y in zip(*batch, strict=True)]
    return sum(rows) / len(rows)


def logs(z):
    return [-math.log(p) for p in probs(z)]


def lowered(z, y, margin, s=1.0):
    return [s * (v - margin * (k == y)) for k, v in enumerate(z)]
