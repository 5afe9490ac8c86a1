"""Scores of predictions against ground truth, with imbalance in mind."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score

from ..data.labels import NUM_CLASSES


def score(labels: np.ndarray, probs: np.ndarray) -> dict[str, Any]:
    """Accuracy, mean per-class recall, macro-F1 and what stands behind them.

    Classes without a sample are left out of the means (CK+48 has no neutral); predicting them still costs.

    Args:
        labels: ``(N,)`` classes.
        probs: ``(N, K)`` class probabilities.

    Returns:
        "accuracy", "macro_recall" and "macro_f1" in [0, 1]; "recall" ``(K,)`` with None for an absent class;
        "confusion" ``(K, K)`` counts, rows true and columns predicted; "predicted" ``(K,)`` counts; "collapsed":
        whether fewer than half of the classes were ever predicted.
    """
    predicted = probs.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(NUM_CLASSES))  # (K, K)
    totals = matrix.sum(axis=1)
    present = np.flatnonzero(totals)
    recall = matrix.diagonal()[present] / totals[present]
    return {
        "accuracy": float(matrix.trace() / matrix.sum()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(f1_score(labels, predicted, labels=present, average="macro", zero_division=0)),
        "recall": [float(recall[list(present).index(k)]) if k in present else None for k in range(NUM_CLASSES)],
        "confusion": matrix.tolist(),
        **tally(probs),
    }


def tally(probs: np.ndarray) -> dict[str, Any]:
    """What can be said of predictions without labels.

    Args:
        probs: ``(N, K)`` class probabilities.

    Returns:
        "predicted" ``(K,)`` counts; "collapsed": whether fewer than half of the classes were ever predicted.
    """
    counts = np.bincount(probs.argmax(axis=1), minlength=NUM_CLASSES)
    return {"predicted": counts.tolist(), "collapsed": bool((counts > 0).sum() < NUM_CLASSES / 2)}
