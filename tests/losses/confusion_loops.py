"""Confusion and its margins by NumPy and plain loops in float64, for tests of their order."""

import numpy as np


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def confusion(probs):
    """Eqs. 4 and 5: one over the mean gap, +inf for a class that no sample is predicted as."""
    first, second = np.sort(probs, axis=1)[:, :-3:-1].T
    winners = probs.argmax(axis=1)
    gaps = np.maximum(first - second, 1e-6)
    return [1 / gaps[winners == k].mean() if (winners == k).any() else np.inf for k in range(probs.shape[1])]


def raised(margins, scores, epsilon):
    """Eq. 6: ε / 2^(j−1) for rank j; classes of one score share the increments of their ranks."""
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    shares = {score: [] for score in scores}
    for j, k in enumerate(order):
        shares[scores[k]].append(epsilon / 2**j)
    return [m + np.mean(shares[score]) for m, score in zip(margins, scores, strict=True)]
