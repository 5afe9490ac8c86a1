"""Class proportions of an unlabelled target: found where the assumption holds, refused where it collapses."""

import json

import numpy as np
import pytest

from pa_difc.evaluation.prior import ESTIMATORS, Adjustment, bbse, calibrate, estimate_prior, mlls, rlls

K = 4
SOURCE = np.array([0.4, 0.3, 0.2, 0.1])
TARGET = np.array([0.1, 0.15, 0.25, 0.5])
CENTRES = 2.0 * np.eye(K)


def draw(prior, n, seed):
    """Gaussian classes, and their true probabilities under ``SOURCE`` proportions."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(K, n, p=prior)
    x = CENTRES[labels] + rng.normal(size=(n, K))
    logits = x @ CENTRES.T - 0.5 * (CENTRES**2).sum(1) + np.log(SOURCE)
    probs = np.exp(logits - logits.max(1, keepdims=True))
    return probs / probs.sum(1, keepdims=True), labels


@pytest.fixture(scope="module")
def data():
    return draw(SOURCE, 4000, 0), draw(TARGET, 4000, 1)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_proportions_are_found_and_accuracy_rises(data, name):
    (source, labels), (target, truth) = data
    found = estimate_prior(name, source, labels, target)
    assert found.refused is None
    tolerance = 0.08 if name == "rlls" else 0.04  # its penalty draws it towards no shift
    np.testing.assert_allclose(found.prior, np.bincount(truth) / len(truth), atol=tolerance)
    before, after = ((p.argmax(1) == truth).mean() for p in (target, found.apply(target)))
    assert after > before + 0.05
    np.testing.assert_allclose(found.apply(target).sum(1), 1)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_equal_proportions_change_nothing_much(data, name):
    (source, labels), _ = data
    target, truth = draw(SOURCE, 4000, 2)
    found = estimate_prior(name, source, labels, target)
    np.testing.assert_allclose(found.ratio, 1, atol=0.15)
    assert abs((found.apply(target).argmax(1) == truth).mean() - (target.argmax(1) == truth).mean()) < 0.01


def test_calibration_undoes_temperature_and_bias(data):
    (source, labels), _ = data
    bent = np.exp(0.4 * np.log(source) + np.array([0.5, 0, -0.5, 0]))
    scale, bias = calibrate(bent / bent.sum(1, keepdims=True), labels)
    assert scale == pytest.approx(2.5, rel=0.1)
    np.testing.assert_allclose((bias - bias.mean())[[0, 2]], [-1.25, 1.25], atol=0.2)


def test_maximum_likelihood_without_calibration_is_worse(data):
    """An overconfident classifier misleads EM: the reason for calibrating (Alexandari et al. 2020)."""
    (source, labels), (target, truth) = data
    sharp = lambda p: p**4 / (p**4).sum(1, keepdims=True)  # noqa: E731
    real = np.bincount(truth) / len(truth)
    prior = np.bincount(labels) / len(labels)
    naive = mlls(sharp(source), labels, sharp(target)) * prior
    calibrated = estimate_prior("mlls", sharp(source), labels, sharp(target)).prior
    assert np.abs(calibrated - real).sum() < np.abs(naive / naive.sum() - real).sum()


def test_bbse_solves_its_equation(data):
    (source, labels), (target, _) = data
    joint = np.zeros((K, K))
    for p, y in zip(source, labels, strict=True):
        joint[:, y] += p / len(labels)
    np.testing.assert_allclose(joint @ bbse(source, labels, target), target.mean(0), atol=1e-6)


def test_rlls_lies_between_no_shift_and_bbse_when_samples_are_few(data):
    (source, labels), (target, _) = data
    few = slice(0, 60)
    distance = lambda w: np.abs(w - 1).sum()  # noqa: E731
    assert distance(rlls(source[few], labels[few], target[few])) < distance(bbse(source[few], labels[few], target[few]))


def test_a_collapsed_target_is_refused_and_says_so(data):
    (source, labels), _ = data
    one = np.tile([0.97, 0.01, 0.01, 0.01], (50, 1))
    found = estimate_prior("mlls", source, labels, one)
    assert "only 1 of 4 classes" in found.refused
    assert found.apply(one) is one and found.to_dict()["refused"] == found.refused


def test_a_source_without_some_class_is_refused(data):
    (source, labels), (target, _) = data
    keep = labels != 3
    found = estimate_prior("bbse", source[keep], labels[keep], target)
    assert "no held-out source sample of 1 class" in found.refused and found.apply(target) is target
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["prior"] is None and written["ratio"] == [1.0] * K
    assert written["calibration"] == {"scale": 1.0, "bias": [0.0] * K}


def test_very_small_probabilities_count_as_the_formula_says():
    """A scale below 1 makes them large: 1e-25 ** 0.2 is 1e-5, which what predicts with the model must also say."""
    logs = np.array([[0.0, -25.0, -30.0], [-20.0, 0.0, -36.0]]) * np.log(10)
    adjustment = Adjustment(np.full(3, 1 / 3), np.array([1.0, 0.5, 2.0]), 0.2, np.array([0.1, 0.0, -0.3]), None)
    z = 0.2 * logs + adjustment.bias + np.log(adjustment.ratio)
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(adjustment.apply(np.exp(logs)), expected, rtol=1e-6)
