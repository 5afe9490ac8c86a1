"""Feature quality: perfect, hopeless, and against loops."""

import numpy as np
import pytest
import torch

from pa_difc.evaluation.quality import feature_quality


def test_classes_on_axes_are_perfect():
    labels = np.arange(60) % 3
    features = torch.eye(3)[labels] + 0.01 * torch.rand(60, 3)
    perfect = dict.fromkeys(["precision_at_1", "r_precision", "map_at_r", "ami"], 1.0)
    assert feature_quality(features, labels) == pytest.approx(perfect)


def test_against_loops():
    torch.manual_seed(0)
    labels = np.arange(24) % 3
    features = torch.randn(24, 5) + torch.eye(5)[labels]
    unit = torch.nn.functional.normalize(features, dim=1)
    first, r_precision, map_r = [], [], []
    for i in range(24):
        order = sorted((j for j in range(24) if j != i), key=lambda j: -float(unit[i] @ unit[j]))
        right = [labels[j] == labels[i] for j in order]
        r = 7  # others of the class
        first.append(right[0])
        r_precision.append(sum(right[:r]) / r)
        map_r.append(sum(sum(right[: p + 1]) / (p + 1) for p in range(r) if right[p]) / r)
    found = feature_quality(features, labels)
    assert found["precision_at_1"] == pytest.approx(np.mean(first))
    assert found["r_precision"] == pytest.approx(np.mean(r_precision))
    assert found["map_at_r"] == pytest.approx(np.mean(map_r))
    assert found["ami"] < 0.9


def test_many_samples_and_a_lonely_class():
    labels = np.r_[np.arange(5000) % 6, 6]
    found = feature_quality(torch.randn(5001, 4), labels)
    assert all(0 <= v <= 1 or abs(v) < 0.05 for v in found.values())


def test_the_same_features_have_the_same_clusters_whatever_was_drawn_before():
    labels = np.arange(60) % 6
    features = torch.randn(60, 2, generator=torch.Generator().manual_seed(3))
    found = set()
    for seed in range(4):
        np.random.seed(seed)
        found.add(feature_quality(features, labels)["ami"])
    assert len(found) == 1
