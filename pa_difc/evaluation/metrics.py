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
        whether fewer than half as many classes are predicted as occur.
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
        **prediction_counts(probs, occurring=len(present)),
    }


def macro_recall_20(confusion: npt.ArrayLike) -> float | None:
    """Mean recall over the classes with at least 20 faces, in [0, 1]; None if there is no such class.

    Args:
        confusion: ``(K, K)`` counts, rows true and columns predicted.
    """
    matrix = np.asarray(confusion)
    totals = matrix.sum(axis=1)
    enough = totals >= ENOUGH_FACES
    return float((matrix.diagonal()[enough] / totals[enough]).mean()) if enough.any() else None


def prediction_counts(probs: npt.NDArray[Any], occurring: int | None = None) -> dict[str, Any]:
    """Counts how often each class is predicted; needs no labels.

    Args:
        probs: ``(N, K)`` class probabilities.
        occurring: how many classes occur; None (unknown): all K.

    Returns:
        "predicted" ``(K,)`` counts; "collapsed": whether fewer than half as many classes are predicted as occur.
    """
    k = probs.shape[1]
    expected = k if occurring is None else occurring
    counts = np.bincount(probs.argmax(axis=1), minlength=k)
    return {"predicted": counts.tolist(), "collapsed": bool((counts > 0).sum() < expected / 2)}
