"""Estimates the target's class proportions without its labels, and adjusts predictions for them.

RLSbench's second step (Garg et al. 2023, arXiv:2302.03020): probabilities are calibrated on held-out source samples,
the ratio of target to source class proportions is estimated from predictions on the target, and these are multiplied by
it. This assumes label shift: only class proportions differ between domains, not the looks of a class. Under covariate
shift the estimate can be far off; a collapsed one is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Ratios are clamped to at most this and at least its inverse.
LARGEST_RATIO = 20.0
_FLOOR = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Adjustment:
    """An estimate of the target's class proportions, and the adjustment of probabilities that follows.

    Attributes:
        prior: ``(K,)`` estimated target class proportions; None if nothing could be estimated.
        ratio: ``(K,)`` target over source proportions; ones if refused.
        scale, bias: the calibration: log p → scale · log p + bias.
        refused: why the estimate is not used, or None.
    """

    prior: Array | None
    ratio: Array
    scale: float
    bias: Array
    refused: str | None

    def apply(self, probs: Array) -> Array:
        """Adjusts probabilities ``(N, K)``; returns them unchanged if the estimate was refused."""
        if self.refused:
            return probs
        return _normalized(_calibrated(probs, self.scale, self.bias) * self.ratio)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for records."""
        return {
            "prior": None if self.prior is None or not np.isfinite(self.prior).all() else self.prior.tolist(),
            "ratio": self.ratio.tolist(),
            "calibration": {"scale": self.scale, "bias": self.bias.tolist()},
            "refused": self.refused,
        }


def estimate_prior(name: str, source_probs: Array, source_labels: Array, target_probs: Array) -> Adjustment:
    """Estimates the target's class proportions.

    Args:
        name: one of :data:`ESTIMATORS`.
        source_probs: ``(N, K)`` predictions on held-out source samples.
        source_labels: ``(N,)`` their labels; if a class does not occur, the estimate is refused.
        target_probs: ``(M, K)`` predictions on unlabelled target samples.
    """
    k = source_probs.shape[1]
    counts = np.bincount(source_labels, minlength=k)
    if (counts == 0).any():
        missing = int((counts == 0).sum())
        why = f"no held-out source sample of {missing} class{'es' * (missing > 1)}"
        return Adjustment(None, np.ones(k), 1.0, np.zeros(k), why)
    scale, bias = calibrate(source_probs, source_labels)
    source, target = (_calibrated(p, scale, bias) for p in (source_probs, target_probs))
    source_prior = counts / counts.sum()
    ratio = ESTIMATORS[name](source, source_labels, target).clip(1 / LARGEST_RATIO, LARGEST_RATIO)
    prior = _normalized(ratio * source_prior)
    refused = _collapsed(prior, target_probs)
    return Adjustment(prior, np.ones(k) if refused else prior / source_prior, scale, bias, refused)


def calibrate(probs: Array, labels: Array) -> tuple[float, Array]:
    """Calibrates probabilities by bias-corrected temperature scaling (Alexandari et al. 2020, arXiv:1901.06852).

    Differs from the paper: a weak Gaussian prior pulls log scale and biases towards 0, as rare classes have few
    samples.

    Returns:
        The scale and biases ``(K,)`` of log p with the highest likelihood.
    """
    from scipy.optimize import minimize

    log_probs = np.log(probs.clip(_FLOOR))
    start = np.zeros(probs.shape[1] + 1)
    found = minimize(_calibration_loss, start, args=(log_probs, labels), jac=True, method="L-BFGS-B").x
    return float(np.exp(found[0])), found[1:]


def bbse(source_probs: Array, source_labels: Array, target_probs: Array) -> Array:
    """Black-box shift estimation (Lipton et al. 2018, arXiv:1802.03916): w ≥ 0 with C w = μ, in least squares.

    C_ij is the share of source samples predicted as i with label j, μ_i the share of target samples predicted as i,
    both from probabilities instead of counts.
    """
    from scipy.optimize import nnls

    joint, mean = _joint(source_probs, source_labels), target_probs.mean(axis=0)
    weights: Array = nnls(joint, mean)[0]
    return weights


def rlls(source_probs: Array, source_labels: Array, target_probs: Array) -> Array:
    """Regularised learning under label shift (Azizzadenesheli et al. 2019, arXiv:1903.09734).

    w = 1 + θ, where θ is the least-squares solution of C θ = μ − C 1 with an L2 penalty that falls with the number of
    samples.
    """
    joint, mean = _joint(source_probs, source_labels), target_probs.mean(axis=0)
    k = len(mean)
    penalty = np.sqrt(np.log(k) * (1 / len(source_labels) + 1 / len(target_probs)))
    rows = np.vstack([joint, penalty * np.eye(k)])
    goal = np.concatenate([mean - joint.sum(axis=1), np.zeros(k)])
    weights: Array = (1 + np.linalg.lstsq(rows, goal, rcond=None)[0]).clip(0)
    return weights


def mlls(source_probs: Array, source_labels: Array, target_probs: Array) -> Array:
    """Maximum likelihood by expectation maximisation (Saerens et al. 2002; calibrated: Alexandari et al. 2020)."""
    source = np.bincount(source_labels, minlength=source_probs.shape[1]) / len(source_labels)
    prior = source.copy()
    for _ in range(1000):
        posterior = _normalized(target_probs * (prior / source))
        after = posterior.mean(axis=0)
        if np.abs(after - prior).max() < 1e-8:
            break
        prior = after
    ratio: Array = prior / source
    return ratio


Estimator = Callable[[Array, Array, Array], Array]
ESTIMATORS: dict[str, Estimator] = {"bbse": bbse, "rlls": rlls, "mlls": mlls}


def _joint(probs: Array, labels: Array) -> Array:
    """``(K, K)``: joint proportions of predicted class i (by probability) and label j."""
    joint: Array = probs.T @ np.eye(probs.shape[1])[labels] / len(labels)
    return joint


def _collapsed(prior: Array, target_probs: Array) -> str | None:
    """Why an estimate is not trustworthy, or None."""
    k = len(prior)
    predicted = len(np.unique(target_probs.argmax(axis=1)))
    if predicted < k / 2:
        return f"only {predicted} of {k} classes are ever predicted on the target"
    if not np.isfinite(prior).all():
        return "the estimate is not finite"
    effective = float(np.exp(-(prior @ np.log(prior))))  # no ratio is 0, so no proportion is
    floor = 0.5 * float(np.exp(-(m := target_probs.mean(axis=0)) @ np.log(m.clip(_FLOOR))))
    if effective < floor:
        return f"the estimate has collapsed to {effective:.1f} effective classes (predictions have {2 * floor:.1f})"
    return None


def _calibration_loss(values: Array, log_probs: Array, labels: Array) -> tuple[float, Array]:
    """The loss that :func:`calibrate` minimises and its gradient; ``values`` are log scale and ``(K,)`` biases."""
    from scipy.special import log_softmax

    rows, scale, bias = np.arange(len(labels)), np.exp(values[0]), values[1:]
    log_p = log_softmax(scale * log_probs + bias, axis=1)
    slope = np.exp(log_p)
    slope[rows, labels] -= 1  # (N, K)
    nll = -log_p[rows, labels].sum() + 0.5 * (values**2).sum()
    gradient = np.concatenate([[scale * (slope * log_probs).sum()], slope.sum(axis=0)]) + values
    return nll / len(labels), gradient / len(labels)


def _calibrated(probs: Array, scale: float, bias: Array) -> Array:
    from scipy.special import softmax

    calibrated: Array = softmax(scale * np.log(probs.clip(_FLOOR)) + bias, axis=1)
    return calibrated


def _normalized(values: Array) -> Array:
    shares: Array = values / values.sum(axis=-1, keepdims=True)
    return shares
