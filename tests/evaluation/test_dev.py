"""Deep embedded validation against its definition (You et al. 2019): domains of unequal sizes, features in any unit."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pa_difc.evaluation import CRITERIA
from pa_difc.evaluation.criteria import Evidence

SCALES = np.array([0.01, 1.0, 30.0])
OFFSETS = np.array([5.0, -2.0, 100.0])


def shown(n_source=60, n_target=25, shift=0.6, seed=0):
    """Domains whose features overlap, have units of their own, and tell how well a sample is predicted."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(n_source, 3)), rng.normal([shift, 0.0, -shift], size=(n_target, 3))
    logits = rng.normal(size=(n_source, 4)) + source[:, :1] * [1.0, 0.0, -1.0, 0.5]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = rng.integers(0, 4, n_source)
    return Evidence(np.zeros((n_target, 4)), target * SCALES + OFFSETS, probs, source * SCALES + OFFSETS, labels)


def density_ratios(source, target):
    """p_target / p_source at each source sample, by a logistic regression with the penalty ½|v|² on features with mean
    0 and standard deviation 1."""
    pooled = [*source, *target]
    mean = sum(pooled) / len(pooled)
    deviation = np.sqrt(sum((x - mean) ** 2 for x in pooled) / len(pooled))
    rows = [(x - mean) / deviation for x in pooled]

    def cost(values):
        logits = [values[0] + values[1:] @ row for row in rows]
        signs = [-1] * len(source) + [1] * len(target)
        return 0.5 * values[1:] @ values[1:] + sum(np.log1p(np.exp(-s * z)) for s, z in zip(signs, logits, strict=True))

    found = minimize(cost, np.zeros(4), method="BFGS", options={"gtol": 1e-4}).x
    odds = [np.exp(found[0] + found[1:] @ row) for row in rows[: len(source)]]
    return [len(source) / len(target) * o for o in odds]


@pytest.mark.parametrize(("n_source", "n_target"), [(60, 25), (25, 60)])
def test_risk_and_control_variate_against_loops(n_source, n_target):
    evidence = shown(n_source, n_target)
    weights = density_ratios(evidence.source_features, evidence.target_features)
    risks = [-w * np.log(p[y]) for w, p, y in zip(weights, evidence.source_probs, evidence.source_labels, strict=True)]
    mean_w, mean_r = sum(weights) / n_source, sum(risks) / n_source
    covariance = sum((r - mean_r) * (w - mean_w) for r, w in zip(risks, weights, strict=True)) / (n_source - 1)
    variance = sum((w - mean_w) ** 2 for w in weights) / (n_source - 1)
    eta = -covariance / variance
    score = CRITERIA["dev"].score(evidence)
    assert abs(eta * (mean_w - 1)) > 0.02  # the control variate is seen
    assert score == pytest.approx(-(mean_r + eta * mean_w - eta), rel=1e-3)


def test_features_that_tell_nothing_give_the_plain_risk():
    evidence = shown()
    flat = Evidence(
        evidence.target_probs,
        np.ones((25, 3)),
        evidence.source_probs,
        np.ones((60, 3)),
        evidence.source_labels,
    )
    plain = np.log(evidence.source_probs[np.arange(60), evidence.source_labels]).mean()
    assert CRITERIA["dev"].score(flat) == pytest.approx(plain, rel=1e-3)


def test_certainty_that_is_wrong_and_a_sample_that_is_surely_of_the_target_stay_finite():
    evidence = shown(2000, 1000, shift=3.0)
    probs = evidence.source_probs.copy()
    probs[0] = np.eye(4)[(evidence.source_labels[0] + 1) % 4]
    features = evidence.source_features.copy()
    features[1] += SCALES * [200.0, 0.0, -200.0]
    score = CRITERIA["dev"].score(
        Evidence(evidence.target_probs, evidence.target_features, probs, features, evidence.source_labels)
    )
    assert np.isfinite(score) and score < 0
