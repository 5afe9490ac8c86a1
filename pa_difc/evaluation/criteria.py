"""Criteria for choosing a model without target labels; larger is better. Each docstring names known failures.

N target training samples, M source validation samples, K classes, D features. pytorch-adapt's validators are not used:
those needed here weigh samples, not classes, so that a collapsed model can win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_TINY = 1e-12


@dataclass(frozen=True)
class Evidence:
    """What a criterion may use of a trained candidate; it has no target labels."""

    target_probs: Array  #: ``(N, K)`` on the target's training set
    target_features: Array  #: ``(N, D)``
    source_probs: Array  #: ``(M, K)`` on the source's held-out set
    source_features: Array  #: ``(M, D)``
    source_labels: Array  #: ``(M,)``


@dataclass(frozen=True)
class Criterion:
    """A way to score one candidate.

    ``score`` may have further parameters with defaults; commands call it with the evidence only.
    """

    score: Callable[..., float]
    about: str

    @property
    def code(self) -> Callable[..., float]:
        """The function whose file :meth:`.Registry.digest` hashes."""
        return self.score


def information_maximization(evidence: Evidence) -> float:
    """Entropy of the mean prediction minus mean entropy, in nats (IM of Musgrave et al. 2022, arXiv:2208.07360).

    Favours a uniform class prior: on an imbalanced target it rewards predictions that are too balanced.
    """
    p = evidence.target_probs
    return float(_entropy(p.mean(axis=0)) - _entropy(p).mean())


def batch_nuclear_norm(evidence: Evidence) -> float:
    """Nuclear norm of the prediction matrix over its bound √(N·K) (Cui et al. 2020, arXiv:2003.12237).

    Favours a uniform class prior, as information maximisation does.
    """
    p = evidence.target_probs
    gram = p.T @ p  # (K, K): its eigenvalues are the squared singular values of p
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    return float(singular.sum() / np.sqrt(p.size))


def soft_neighborhood_density(evidence: Evidence, temperature: float = 0.05, most: int = 2000) -> float:
    """Mean entropy of softmaxed similarities between predictions (Saito et al. 2021, arXiv:2108.10860, eq. 2).

    Prefers collapsed models: if all predictions are alike, every neighbourhood is dense.

    Args:
        evidence: of the candidate.
        temperature: τ, the divisor of cosine similarities; 0.05 in the paper.
        most: largest number of samples to compare, evenly spaced; time and memory grow with its square.
    """
    from scipy.special import softmax
    from sklearn.preprocessing import normalize

    p = normalize(_every_kth(evidence.target_probs, most))
    similarity = p @ p.T / temperature
    np.fill_diagonal(similarity, -np.inf)
    return float(_entropy(softmax(similarity, axis=1)).mean())


def class_ami(evidence: Evidence, most: int = 5000) -> float:
    """Adjusted mutual information of predicted classes and k-means clusters of normalised features.

    ClassAMI of Musgrave et al. 2022, arXiv:2208.07360. Clusters start from the predicted classes' mean features.
    Doesn't notice if clusters are assigned to the wrong classes.

    Args:
        evidence: of the candidate.
        most: largest number of samples to cluster, evenly spaced.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score
    from sklearn.preprocessing import normalize

    features = normalize(_every_kth(evidence.target_features, most))
    predicted = _every_kth(evidence.target_probs, most).argmax(axis=1)
    classes = np.unique(predicted)
    if len(classes) < 2:
        return 0.0
    centres = np.stack([features[predicted == k].mean(axis=0) for k in classes])
    clusters = KMeans(len(classes), init=centres, n_init=1).fit_predict(features)
    return float(adjusted_mutual_info_score(predicted, clusters))


def source_macro_recall(evidence: Evidence) -> float:
    """Mean recall on the source's held-out set. Blind to the target."""
    predicted = evidence.source_probs.argmax(axis=1)
    return macro_recall(evidence.source_labels, predicted)


def deep_embedded_validation(evidence: Evidence) -> float:
    """Minus the held-out source risk, weighted by the density ratio target/source, with a control variate.

    DEV (You et al. 2019, "Towards Accurate Model Selection in Deep UDA", ICML). The density ratio comes from a logistic
    regression between the domains' features; if the domains are separable, a few samples carry all the weight.
    """
    from sklearn.linear_model import LogisticRegression

    source, target = evidence.source_features, evidence.target_features
    domain = np.repeat([0, 1], [len(source), len(target)])
    both = np.concatenate([source, target])
    both = (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-6)
    p_target = LogisticRegression(max_iter=200).fit(both, domain).predict_proba(both[: len(source)])[:, 1]
    weights = (len(source) / len(target)) * p_target / np.clip(1 - p_target, 1e-6, None)  # (M,)
    picked = evidence.source_probs[np.arange(len(source)), evidence.source_labels]
    losses = weights * -np.log(np.clip(picked, _TINY, None))
    variance = weights.var(ddof=1)
    eta = -np.cov(losses, weights)[0, 1] / variance if variance > 0 else 0.0
    return float(-(losses.mean() + eta * weights.mean() - eta))


#: Criteria for :func:`consensus` between settings of one method; each fails in its own way.
CONSENSUS = ("im", "class_ami", "ensv")

#: Criteria between methods, which depend on predicted classes only: "im" rewards confidence, and a method that enlarges
#: features (SAFN) is confident whether right or wrong.
CONSENSUS_OF_METHODS = ("class_ami", "ensv", "src_macro")

#: How far a candidate's mean recall on held-out source may fall below source-only's.
SOURCE_TOLERANCE = 0.03

IM = Criterion(information_maximization, "information maximisation; favours a uniform class prior")
CLASS_AMI = Criterion(class_ami, "predictions against feature clusters; can't tell which cluster is which class")
BNM = Criterion(batch_nuclear_norm, "nuclear norm of predictions; favours a uniform class prior")
SND = Criterion(soft_neighborhood_density, "density of neighbourhoods; prefers collapsed models")
DEV = Criterion(
    deep_embedded_validation, "density-weighted source risk; a few samples decide if the domains are separable"
)
SRC_MACRO = Criterion(source_macro_recall, "mean recall on held-out source; blind to the target")


def ensemble_agreement(candidates: Sequence[Array], weights: Sequence[float] | None = None) -> list[float]:
    """How well each candidate's predictions agree with the ensemble of all candidates, by mean recall.

    EnsV (Hu et al. 2024, "Towards Reliable Model Selection for UDA", NeurIPS). Differs from the paper: mean recall
    instead of accuracy. If most candidates fail alike, it rewards the failure.

    Args:
        candidates: each ``(N, K)`` class probabilities on the same target samples.
        weights: of the candidates in the ensemble; None: equal ones.

    Returns:
        A score per candidate, in [0, 1].
    """
    pseudo = np.average(candidates, axis=0, weights=weights).argmax(axis=1)
    return [macro_recall(pseudo, p.argmax(axis=1)) for p in candidates]


def consensus(scores: Sequence[Sequence[float]]) -> list[float]:
    """The mean Borda rank of each candidate over several criteria, larger is better; ties share their rank.

    Args:
        scores: a list per criterion, each with a score per candidate.
    """
    from scipy.stats import rankdata

    ranks: list[float] = np.mean([rankdata(column) for column in scores], axis=0).tolist()
    return ranks


def macro_recall(labels: Array, predicted: Array) -> float:
    """Mean recall over the classes that occur in ``labels``."""
    return float(np.mean([(predicted[labels == k] == k).mean() for k in np.unique(labels)]))


def _entropy(p: Array) -> Array:
    """Entropy over the last axis, in nats."""
    entropy: Array = -(p * np.log(np.clip(p, _TINY, None))).sum(axis=-1)
    return entropy


def _every_kth(rows: Array, most: int) -> Array:
    """At most ``most`` rows, evenly spaced; enough for the quadratic and the clustering criteria."""
    return rows[:: max(1, -(-len(rows) // most))]
