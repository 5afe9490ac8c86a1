"""Scores of predictions against ground truth, including ones for imbalanced classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: The metrics in tables, in their order, and their column names.
METRICS = {
    "accuracy": "accuracy",
    "macro_recall": "mean recall",
    "macro_recall_20": "≥ 20 faces",
    "macro_f1": "macro-F1",
}
#: Classes with fewer test faces are left out of "macro_recall_20", as a single face would change their recall too much.
ENOUGH_FACES = 20
#: The share of faces from which on a class that occurs half as often counts as the only one that is predicted.
ONE_SIDED = 0.8
#: When the predictions of a run have collapsed, in words.
COLLAPSED = (
    "fewer than half of the classes that occur were ever predicted, or one class was predicted for at least "
    f"{ONE_SIDED:.0%} of the faces and twice as often as it occurs"
).replace("%", " %")
#: Without labels: the share of faces from which on a class counts as the only one that is predicted. It is larger, as
#: nobody knows how often the class occurs.
ALMOST_ALL = 0.9
#: When predictions without labels have collapsed, in words.
COLLAPSED_UNLABELLED = (
    f"fewer than half of the classes were ever predicted, or one class for at least {ALMOST_ALL:.0%} of the faces"
).replace("%", " %")
#: The fewest classes with enough faces that "macro_recall_20" is a mean over.
ENOUGH_CLASSES = 2
#: The note below tables.
ENOUGH_NOTE = f"≥ {ENOUGH_FACES} faces: mean recall over the classes with at least {ENOUGH_FACES} test faces"


def score(labels: npt.NDArray[Any], probs: npt.NDArray[Any]) -> dict[str, Any]:
    """Accuracy, mean recall over classes, macro-F1 and the underlying counts.

    Classes without samples are left out of the means (CK+48 has no neutral); predicting them still counts as an error.

    Args:
        labels: ``(N,)`` classes.
        probs: ``(N, K)`` class probabilities.

    Returns:
        "accuracy", "macro_recall" and "macro_f1" in [0, 1]; "macro_recall_20" likewise, see
        :func:`macro_recall_20`; "recall" ``(K,)`` with None for an absent class;
        "confusion" ``(K, K)`` counts, rows true and columns predicted; "predicted" ``(K,)`` counts; "collapsed":
        whether fewer than half as many classes are predicted as occur, or the predictions are :func:`one_sided`.
    """
    from sklearn.metrics import confusion_matrix, f1_score

    k = probs.shape[1]
    predicted = probs.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(k))  # (K, K)
    totals = matrix.sum(axis=1)
    present = np.flatnonzero(totals)
    recall = dict(zip(present.tolist(), (matrix.diagonal()[present] / totals[present]).tolist(), strict=True))
    return {
        "accuracy": float(matrix.trace() / matrix.sum()),
        "macro_recall": sum(recall.values()) / len(recall),
        "macro_recall_20": macro_recall_20(matrix),
        "macro_f1": float(f1_score(labels, predicted, labels=present, average="macro")),
        "recall": [recall.get(i) for i in range(k)],
        "confusion": matrix.tolist(),
        "predicted": (counts := prediction_counts(probs, occurring=len(present)))["predicted"],
        "collapsed": counts["collapsed"] or one_sided(matrix),
    }


def one_sided(confusion: npt.ArrayLike) -> bool:
    """Whether one class is predicted for at least 80 % of the faces, and at least twice as often as it occurs.

    A few stray predictions of other classes hide such a collapse from a count of the classes that are ever predicted.

    Args:
        confusion: ``(K, K)`` counts, rows true and columns predicted.
    """
    matrix = np.asarray(confusion)
    predicted, occurring = matrix.sum(axis=0), matrix.sum(axis=1)
    most = int(predicted.argmax())
    n = matrix.sum()
    return bool(n and predicted[most] / n >= ONE_SIDED and predicted[most] >= 2 * occurring[most])


def macro_recall_20(confusion: npt.ArrayLike) -> float | None:
    """Mean recall over the classes with at least 20 faces, in [0, 1].

    None if these are fewer than two, or fewer than half of the classes that occur: it would be the recall of one class,
    or of the few frequent ones.

    Args:
        confusion: ``(K, K)`` counts, rows true and columns predicted.
    """
    matrix = np.asarray(confusion)
    totals = matrix.sum(axis=1)
    enough = totals >= ENOUGH_FACES
    if enough.sum() < max(ENOUGH_CLASSES, (totals > 0).sum() / 2):
        return None
    return float((matrix.diagonal()[enough] / totals[enough]).mean())


def prediction_counts(probs: npt.NDArray[Any], occurring: int | None = None) -> dict[str, Any]:
    """Counts how often each class is predicted; needs no labels.

    Args:
        probs: ``(N, K)`` class probabilities.
        occurring: how many classes occur; None (unknown): all K.

    Returns:
        "predicted" ``(K,)`` counts; "collapsed": whether fewer than half as many classes are predicted as occur, or if
        that is unknown, see :func:`collapsed_unlabelled`.
    """
    counts = np.bincount(probs.argmax(axis=1), minlength=probs.shape[1])
    if occurring is None:
        return {"predicted": counts.tolist(), "collapsed": collapsed_unlabelled(counts)}
    return {"predicted": counts.tolist(), "collapsed": bool((counts > 0).sum() < occurring / 2)}


def collapsed_unlabelled(predicted: npt.ArrayLike) -> bool:
    """Whether fewer than half of the classes are predicted, or one of them for at least 90 % of the faces.

    Args:
        predicted: ``(K,)`` counts of predicted classes, or their shares.
    """
    counts = np.asarray(predicted)
    total = counts.sum()
    return bool((counts > 0).sum() < len(counts) / 2 or (total > 0 and counts.max() >= ALMOST_ALL * total))
