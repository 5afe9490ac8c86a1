"""Label shift in numbers: estimators, calibration and refusals against loops, on few samples of unequal domains."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from pa_difc.evaluation import prior
from pa_difc.evaluation.prior import Adjustment, calibrate, estimate_prior, mlls, rlls


def drawn(n, k, seed, sharpness=1.0):
    """Predictions that lean towards their labels, of which each class has at least one."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    logits = sharpness * (rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels])
    probs = np.exp(logits)
    return probs / probs.sum(1, keepdims=True), labels


@pytest.mark.parametrize(("n", "m", "emptied"), [(40, 15, False), (4000, 900, True)])
def test_rlls_solves_its_penalised_equation(n, m, emptied):
    """(CᵀC + λ²I) θ = Cᵀ(μ − C1) with λ² = log K · (1/N + 1/M); a class that would be less than none is none."""
    source, labels = drawn(n, 3, 0)
    target = np.tile([0.05, 0.75, 0.2], (m, 1))
    joint = np.zeros((3, 3))
    for p, y in zip(source, labels, strict=True):
        joint[:, y] += p / n
    penalty = np.log(3) * (1 / n + 1 / m)
    change = np.linalg.solve(joint.T @ joint + penalty * np.eye(3), joint.T @ (target.mean(0) - joint.sum(1)))
    expected = [max(0.0, 1 + c) for c in change]
    assert (0.0 in expected) is emptied
    np.testing.assert_allclose(rlls(source, labels, target), expected, atol=1e-9)


def test_mlls_maximises_the_target_s_likelihood():
    source, labels = drawn(50, 3, 1)
    target, _ = drawn(30, 3, 2)
    proportions = [(labels == k).mean() for k in range(3)]

    def surprise(values):
        shares = np.exp(values) / np.exp(values).sum()
        ratio = [q / p for q, p in zip(shares, proportions, strict=True)]
        return -sum(np.log(sum(r * p for r, p in zip(ratio, row, strict=True))) for row in target)

    best = np.exp(minimize(surprise, np.zeros(3), tol=1e-10).x)
    best = best / best.sum()
    np.testing.assert_allclose(mlls(source, labels, target), best / proportions, rtol=1e-3)


@pytest.mark.parametrize("n", [6, 40])
def test_calibration_maximises_likelihood_and_prior(n):
    """Σ −log softmax(s · log p + b)_y + ½ (log² s + |b|²): with few samples the prior is half of it."""
    probs, labels = drawn(n, 3, 3, sharpness=0.4)

    def cost(values):
        total = 0.5 * sum(v**2 for v in values)
        for p, y in zip(probs, labels, strict=True):
            powers = [q ** np.exp(values[0]) * np.exp(b) for q, b in zip(p, values[1:], strict=True)]
            total -= np.log(powers[y] / sum(powers))
        return total

    best = minimize(cost, np.zeros(4), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000}).x
    scale, bias = calibrate(probs, labels)
    assert abs(best[0]) > 0.05
    np.testing.assert_allclose([np.log(scale), *bias], best, atol=1e-3)


def test_calibration_s_slopes_are_those_of_its_value():
    probs, labels = drawn(8, 3, 4)
    at = np.array([0.4, -0.7, 0.2, 0.9])
    value, slopes = prior._calibration_loss(at, np.log(probs), labels)
    for i, slope in enumerate(slopes):
        step = 1e-5 * np.eye(4)[i]
        above, below = (prior._calibration_loss(at + s, np.log(probs), labels)[0] for s in (step, -step))
        assert slope == pytest.approx((above - below) / 2e-5, abs=1e-7)
    p = probs ** np.exp(0.4) * np.exp(at[1:])
    p /= p.sum(1, keepdims=True)
    expected = -sum(np.log(row[y]) for row, y in zip(p, labels, strict=True)) + 0.5 * (at**2).sum()
    assert value == pytest.approx(expected / 8)


def test_predictions_of_exactly_0_and_1_are_as_good_as_any():
    labels = np.arange(20) % 4
    hard = np.eye(4)[labels]
    with np.errstate(all="raise", under="ignore"):
        found = estimate_prior("bbse", hard, labels, hard[:8])
        adjusted = found.apply(hard[:8])
    np.testing.assert_allclose(found.prior, 0.25, atol=0.01)
    np.testing.assert_allclose(adjusted, hard[:8], atol=1e-6)


def estimating(monkeypatch, ratio, target, k=4):
    """An estimate whose estimator returns ``ratio``, from a source with equally many samples of each class."""
    monkeypatch.setitem(prior.ESTIMATORS, "told", lambda *_: np.array(ratio, dtype=float))
    labels = np.arange(5 * k) % k
    return estimate_prior("told", 0.9 * np.eye(k)[labels] + 0.1 / k, labels, np.asarray(target))


def test_no_class_becomes_more_than_20_times_as_frequent_or_rarer_than_a_20th(monkeypatch):
    found = estimating(monkeypatch, [1000, 10, 10, 0], np.full((8, 4), 0.25) + 0.1 * np.eye(4)[np.arange(8) % 4])
    np.testing.assert_allclose(found.prior, np.array([20, 10, 10, 1 / 20]) / (40 + 1 / 20))
    np.testing.assert_allclose(found.ratio, 4 * found.prior)
    assert found.refused is None
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["prior"] == found.prior.tolist() and written["ratio"] == found.ratio.tolist()
    assert written["calibration"] == {"scale": found.scale, "bias": found.bias.tolist()} and written["refused"] is None


def effective(shares):
    return np.exp(-sum(p * np.log(p) for p in shares if p))


def test_an_estimate_of_half_as_many_effective_classes_as_are_predicted_is_refused(monkeypatch):
    """One class at 20 : 1 : 1 : 1 of four; the predictions are of three, some for certain."""
    target = np.eye(4)[[0, 0, 1, 1, 2, 2, 2, 2]]
    found = estimating(monkeypatch, [20, 1, 1, 1], target)
    few, many = effective([20 / 23, 1 / 23, 1 / 23, 1 / 23]), effective([0.25, 0.25, 0.5])
    assert few > many / 2 and found.refused is None
    found = estimating(monkeypatch, [20, 0.5, 0.5, 0.5], target)
    few = effective(np.array([20, 0.5, 0.5, 0.5]) / 21.5)
    assert few < many / 2
    assert found.refused == f"the estimate has collapsed to {few:.1f} effective classes (predictions have {many:.1f})"
    np.testing.assert_array_equal(found.ratio, np.ones(4))
    assert found.apply(target) is target


@pytest.mark.parametrize(("k", "predicted", "refused"), [(4, 2, False), (4, 1, True), (5, 2, True), (5, 3, False)])
def test_fewer_predicted_classes_than_half_are_refused(monkeypatch, k, predicted, refused):
    target = 0.5 * np.eye(k)[np.arange(30) % predicted] + 0.5 / k
    found = estimating(monkeypatch, np.ones(k), target, k)
    assert found.refused == (f"only {predicted} of {k} classes are ever predicted on the target" if refused else None)


def test_an_estimate_that_is_not_finite_is_refused_and_written_without_it(monkeypatch):
    found = estimating(monkeypatch, [np.nan, 1, 1, 1], np.full((8, 4), 0.25) + 0.1 * np.eye(4)[np.arange(8) % 4])
    assert found.refused == "the estimate is not finite" and found.to_dict()["prior"] is None


def test_applying_is_calibrating_and_weighing():
    probs = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    made = Adjustment(np.array([0.5, 0.3, 0.2]), np.array([2.0, 1.0, 0.5]), 1.7, np.array([0.3, -0.2, 0.0]), None)
    expected = [[p**1.7 * np.exp(b) * r for p, b, r in zip(row, made.bias, made.ratio, strict=True)] for row in probs]
    np.testing.assert_allclose(made.apply(probs), [np.array(row) / sum(row) for row in expected], atol=1e-12)
