"""Losses of parts of a batch, each in a process of its own: `parts.py OUT` by a launcher; see test_ignored.py."""

import sys
from pathlib import Path

import torch
from loss_loops import COUNTS, K

from pa_difc import LOSSES, Schedule, make_loss
from pa_difc.util.distributed import join, rank

#: Which of 13 labels are ignored; the first process has 7 of them.
IGNORED = {"none": [], "some": [0, 2, 3, 8], "all of the first": list(range(7)), "all": list(range(13))}
CASES = [(name, {}) for name in LOSSES] + [("difc", {"margin_unit": "spread"}), ("di", {"label_smoothing": 0.2})]
PARTS = [slice(0, 7), slice(7, 13)]


def batch(ignored):
    logits = 3 * torch.randn(13, K, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    labels = torch.arange(13) * 2 % K
    labels[IGNORED[ignored]] = -100
    return logits, labels


def value_and_gradient(name, options, logits, labels):
    schedule = Schedule(steps_per_epoch=1, confusion_epoch=None, reweight_epoch=0)
    loss = make_loss(name, COUNTS, schedule, **options).double()
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels)
    return value.detach(), torch.autograd.grad(value, logits)[0]


def main(out):
    join("cpu")
    found = []
    for name, options in CASES:
        for ignored in IGNORED:
            logits, labels = (t[PARTS[rank()]] for t in batch(ignored))
            found.append(value_and_gradient(name, options, logits, labels))
    torch.save(found, Path(out) / f"{rank()}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
