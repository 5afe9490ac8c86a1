"""A model's errors, its least confident predictions, and where several models disagree; numbers only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..util.spacing import evenly_spaced
from .run import Array

#: Lower ends of the confidence bins that a page shows.
CONFIDENCES = (0.0, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Pair:
    """One class taken for another."""

    true: int
    predicted: int
    faces: Array  #: their indices, the most confident error first
    of_errors: float  #: share of all errors
    of_true: float  #: share of the true class's faces


@dataclass(frozen=True)
class Confidence:
    """The faces predicted with a confidence in ``[low, high)``; the last bin includes 1."""

    low: float
    high: float
    faces: int
    right: int | None  #: None without labels


@dataclass(frozen=True)
class Committee:
    """The predictions of several cells on the same faces; each cell has one vote, by the mean over its seeds."""

    cells: int
    votes: Array  #: ``(N, K)`` each class's share of the votes
    divergence: Array  #: ``(N,)`` mean KL divergence from the cells' mean, in nats

    @property
    def split(self) -> Array:
        """``(N,)`` bool: whether the cells predict different classes."""
        divided: Array = self.votes.max(axis=1) < 1 - 1e-6
        return divided

    def most_divided(self, most: int) -> Array:
        """Indices of the faces that the cells disagree on, the most divergent first, at most ``most``."""
        order = np.argsort(-self.divergence, kind="stable")
        found: Array = order[self.split[order]][:most]
        return found


def find_pairs(labels: Array, probs: Array) -> list[Pair]:
    """Every pair of a true class and a wrongly predicted one, the most frequent first.

    Args:
        labels: ``(N,)`` classes.
        probs: ``(N, K)`` class probabilities.
    """
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    found: list[Pair] = []
    for true, said in sorted(set(zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))):
        faces = wrong[(labels[wrong] == true) & (predicted[wrong] == said)]
        faces = faces[np.argsort(-confidence[faces], kind="stable")]
        found.append(Pair(true, said, faces, len(faces) / len(wrong), len(faces) / int((labels == true).sum())))
    return sorted(found, key=lambda pair: -len(pair.faces))


def surest_errors(labels: Array, probs: Array, most: int) -> Array:
    """Indices of wrongly predicted faces, the most confident first, at most ``most``."""
    wrong = np.flatnonzero(probs.argmax(axis=1) != labels)
    found: Array = wrong[np.argsort(-probs[wrong].max(axis=1), kind="stable")][:most]
    return found


def least_sure(probs: Array, most: int) -> Array:
    """Indices of the faces with the lowest confidence, the lowest first, at most ``most``."""
    found: Array = np.argsort(probs.max(axis=1), kind="stable")[:most]
    return found


def evenly(faces: Array, most: int) -> Array:
    """At most ``most`` of the faces, evenly spaced."""
    chosen: Array = faces[evenly_spaced(len(faces), most)]
    return chosen


def by_confidence(probs: Array, labels: Array | None) -> list[Confidence]:
    """The number of faces in each bin of confidence and, with labels, how many of them are right."""
    confidence = probs.max(axis=1)
    right = None if labels is None else probs.argmax(axis=1) == labels
    rows = []
    for low, high in zip(CONFIDENCES, (*CONFIDENCES[1:], np.inf), strict=True):
        inside = (confidence >= low) & (confidence < high)
        rows.append(
            Confidence(low, min(high, 1.0), int(inside.sum()), None if right is None else int(right[inside].sum()))
        )
    return rows


def committee(cells: Iterable[Sequence[Array]]) -> Committee:
    """Measures where cells disagree.

    D(x) = 1/C Σ_c KL(p_c(x) ‖ p̄(x)) with p̄ = 1/C Σ_c p_c (McCallum and Nigam 1998), which is the entropy of p̄ minus
    the mean entropy of the cells. A cell's p_c is the mean over its seeds.

    Args:
        cells: for each cell the probabilities ``(N, K)`` of its seeds, one or more.
    """
    number, sums = 0, [np.zeros(()), np.zeros(()), np.zeros(())]
    for seeds in cells:
        number += 1
        one = np.mean([probs.astype(np.float64) for probs in seeds], axis=0)
        votes = np.eye(one.shape[1])[one.argmax(axis=1)]
        sums = [total + part for total, part in zip(sums, (one, _entropy(one), votes), strict=True)]
    mean, entropy, votes = (total / number for total in sums)
    return Committee(number, votes, (_entropy(mean) - entropy).clip(0.0))


def _entropy(probs: Array) -> Array:
    """``(N,)`` entropies of ``(N, K)`` probabilities, in nats; 0 log 0 is 0."""
    found: Array = -(probs * np.log(np.where(probs > 0, probs, 1.0))).sum(axis=1)
    return found
