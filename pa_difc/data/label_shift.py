"""Shifts a target's class proportions on purpose, to test methods under label shift.

RLSbench's protocol (Garg et al. 2023, arXiv:2302.03020): proportions are drawn from a Dirichlet distribution around the
target's own, and both splits are resampled to them. This reads target labels; training does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .domains import Domain, require_labels

CANT_SHIFT = "its class proportions can't be shifted"


def shift_labels(domain: Domain, alpha: float, draw: int) -> Domain:
    """The domain with both splits resampled to class proportions q ~ Dirichlet(α · K · p).

    p are its proportions in training, over the K classes that occur there. The mean of q is p; the smaller α, the
    further q strays: at 0.3 one or two classes make up most samples. Splits keep their sizes. If a class has too few
    samples, all are taken equally often, give or take one. A class that the test split lacks stays absent there.

    Args:
        domain: faces or features, with labels.
        alpha: α, above 0.
        draw: number of the draw with this α.

    Raises:
        UserError: the domain has no labels.
    """
    require_labels(domain, CANT_SHIFT)
    counts = np.array(domain.train_counts, dtype=float)
    rng = np.random.default_rng([draw, round(1e6 * alpha)])
    present = counts > 0
    proportions = np.zeros(len(counts))
    proportions[present] = rng.dirichlet(alpha * present.sum() * counts[present] / counts.sum())
    train = domain.train.take(resample(domain.train.labels, proportions, rng))
    test = train if domain.transductive else domain.test.take(resample(domain.test.labels, proportions, rng))
    shift = {"alpha": alpha, "draw": draw, "proportions": proportions.tolist()}
    return replace(domain, train=train, test=test, label_shift=shift)


def resample(
    labels: NDArray[np.int64], proportions: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws indices ``(N,)`` whose classes have the given proportions, up to rounding.

    Args:
        labels: ``(N,)`` classes.
        proportions: ``(K,)``, renormalised over the classes that occur.
        rng: draws the samples.
    """
    members = [np.flatnonzero(labels == k) for k in range(len(proportions))]
    wanted = np.array([p if len(m) else 0.0 for p, m in zip(proportions, members, strict=True)])
    bounds = np.rint(np.cumsum(wanted) / wanted.sum() * len(labels)).astype(int)
    chosen = []
    for m, n in zip(members, np.diff(bounds, prepend=0), strict=True):
        if n:
            whole, rest = divmod(int(n), len(m))
            chosen += [*[m] * whole, rng.choice(m, rest, replace=False)]
    return np.sort(np.concatenate(chosen))
