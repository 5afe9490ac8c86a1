"""How well features separate the classes, independent of any classifier."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from ..util.spacing import evenly_spaced

#: Names in records, and in pytorch-metric-learning.
MEASURES = {
    "precision_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
    "ami": "AMI",
}

#: At most this many samples are compared with each other.
MOST_SAMPLES = 2000


def feature_quality(features: Tensor, labels: npt.NDArray[Any]) -> dict[str, float]:
    """Precision@1, R-precision, MAP@R (Musgrave et al. 2020, arXiv:2003.08505) and AMI of k-means clusters.

    Computed by pytorch-metric-learning's AccuracyCalculator with cosine similarity; each is at most 1.

    Args:
        features: ``(N, D)``; if more than :data:`MOST_SAMPLES`, evenly spaced ones are used.
        labels: ``(N,)``; a class with a single sample counts only in AMI.
    """
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    chosen = evenly_spaced(len(labels), MOST_SAMPLES)
    x, y = features[chosen], torch.from_numpy(labels[chosen])
    calculator = AccuracyCalculator(
        include=tuple(MEASURES.values()),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
        kmeans_func=_kmeans,
    )
    found = calculator.get_accuracy(x, x, y, y, embeddings_come_from_same_source=True)
    return {name: float(found[theirs]) for name, theirs in MEASURES.items()}


def _kmeans(features: Tensor, clusters: int) -> Tensor:
    from sklearn.cluster import KMeans

    return torch.from_numpy(KMeans(clusters, n_init=3, random_state=0).fit_predict(features.numpy()))
