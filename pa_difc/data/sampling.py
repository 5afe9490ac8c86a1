"""Which samples of a domain make an epoch: a function of seed and position, so that resuming needs no saved state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils import common_functions

#: How the source is drawn: in shuffled passes, or every class equally often.
SAMPLERS = ("shuffled", "class_balanced")

#: How the target is drawn: likewise, the classes being those that the method predicts.
TARGET_SAMPLERS = ("shuffled", "pseudo_balanced")


def shuffled(length: int, per_epoch: int, epoch: int, key: list[int]) -> np.ndarray:
    """Shuffled passes over a domain, cut at the epoch's borders: every sample is seen equally often.

    Args:
        length: of the domain.
        per_epoch: samples in an epoch.
        epoch: counted from 0.
        key: of the random numbers; seed and domain.

    Returns:
        ``(per_epoch,)`` indices.
    """
    first = epoch * per_epoch
    passes = range(first // length, (first + per_epoch - 1) // length + 1)
    order = np.concatenate([np.random.default_rng([key[0], p, *key[1:]]).permutation(length) for p in passes])
    offset = first - passes[0] * length
    return order[offset : offset + per_epoch]


def class_balanced(classes: np.ndarray, per_epoch: int, epoch: int, key: list[int]) -> np.ndarray:
    """Every class that occurs equally often, its samples drawn at random (pytorch-metric-learning's MPerClassSampler).

    Args:
        classes: ``(N,)`` labels, or predictions.
        per_epoch, epoch, key: see :func:`shuffled`.

    Returns:
        ``(per_epoch,)`` indices; in each run of K of them every class occurs once.
    """
    kinds = len(np.unique(classes))
    sampler = MPerClassSampler(classes, m=1, length_before_new_iter=per_epoch + kinds)  # it rounds down to whole runs
    with _library_random(np.random.RandomState([key[0], epoch, *key[1:], 7])):
        return np.fromiter(sampler, dtype=np.int64)[:per_epoch]


@contextmanager
def _library_random(state: np.random.RandomState) -> Iterator[None]:
    """pytorch-metric-learning draws from a generator of its module, which is replaced here for a while."""
    before = common_functions.NUMPY_RANDOM
    common_functions.NUMPY_RANDOM = state
    try:
        yield
    finally:
        common_functions.NUMPY_RANDOM = before
