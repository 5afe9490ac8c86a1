"""Recall by group of faces, and the gap between groups, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.metrics import ENOUGH_FACES
from ..util.intervals import Share, difference, mean_of, wilson
from .face_groups import Column
from .run import Array

_SHUFFLES = 2000
#: A class with fewer faces than this in a compared group is pointed out: its recall moves in steps above 20 points.
FEWEST_OF_CLASS = 5


@dataclass(frozen=True)
class GroupRecall:
    """A group's scores."""

    name: str
    counts: Array  #: ``(K,)`` faces of each class
    right: Array  #: ``(K,)`` correctly predicted faces of each class
    mean_recall: Share | None  #: over :attr:`ByGroup.classes`; None if the group lacks one of them

    @property
    def faces(self) -> int:
        return int(self.counts.sum())

    @property
    def few(self) -> bool:
        """Whether the group has too few faces to conclude anything."""
        return self.faces < ENOUGH_FACES

    @property
    def accuracy(self) -> Share:
        return wilson(int(self.right.sum()), self.faces)

    def recall(self, k: int) -> Share | None:
        """The recall of class k; None if the group has no face of it."""
        return wilson(int(self.right[k]), int(self.counts[k])) if self.counts[k] else None


@dataclass(frozen=True)
class Gap:
    """The difference in mean recall between the best and the worst group."""

    best: str
    worst: str
    size: Share
    by_chance: float  #: p of a permutation test: how often the gap is as large if groups are assigned at random


@dataclass(frozen=True)
class ByGroup:
    """The scores of a column's groups."""

    column: str
    groups: Sequence[GroupRecall]
    classes: Sequence[int]  #: the classes that mean recall averages over: those of every group with enough faces
    gap: Gap | None  #: None if fewer than two groups have enough faces, or they share no class


def recall_by_group(column: Column, labels: Array, predicted: Array, k: int) -> ByGroup:
    """Recall by group, and the gap between the best and the worst group among those with at least 20 faces.

    Args:
        column: the group of each face.
        labels: ``(N,)`` true classes.
        predicted: ``(N,)`` predicted classes.
        k: the number of classes K.
    """
    members = [column.of_face == g for g in range(len(column.groups))]
    counts = np.array([np.bincount(labels[m], minlength=k) for m in members]).reshape(-1, k)  # (G, K)
    right = np.array([np.bincount(labels[m & (labels == predicted)], minlength=k) for m in members]).reshape(-1, k)
    enough = counts.sum(axis=1) >= ENOUGH_FACES
    shared = np.flatnonzero((counts[enough] if enough.any() else counts).all(axis=0)).tolist()
    groups = []
    for name, n, hits in zip(column.groups, counts, right, strict=True):
        shares = [wilson(int(hits[c]), int(n[c])) for c in shared if n[c]]
        groups.append(GroupRecall(name, n, hits, mean_of(shares) if len(shares) == len(shared) > 0 else None))
    return ByGroup(column.name, groups, shared, _gap(groups, counts[enough][:, shared], right[enough][:, shared]))


def _gap(groups: Sequence[GroupRecall], counts: Array, right: Array) -> Gap | None:
    """The gap between groups with enough faces; ``counts`` and ``right`` ``(G, K)`` are theirs by class."""
    known = [(g, g.mean_recall) for g in groups if not g.few and g.mean_recall is not None]
    if len(known) < 2:
        return None
    worst, *_, best = sorted(known, key=lambda one: one[1].value)  # two groups even if all are alike
    size = difference(best[1], worst[1])
    return Gap(best[0].name, worst[0].name, size, _by_chance(counts, right, size.value))


def _by_chance(counts: Array, right: Array, gap: float) -> float:
    """The p-value of the gap: how often it is as large if right predictions do not depend on the group.

    A permutation test within each true class: its right predictions are dealt to the groups without replacement.
    """
    rng = np.random.default_rng(0)
    dealt = [
        rng.multivariate_hypergeometric(counts[:, k], int(right[:, k].sum()), _SHUFFLES) / counts[:, k]
        for k in range(counts.shape[1])
    ]  # (S, G) each
    means = np.mean(dealt, axis=0)
    as_large = (means.max(axis=1) - means.min(axis=1) >= gap - 1e-9).sum()
    return float((1 + as_large) / (1 + _SHUFFLES))
