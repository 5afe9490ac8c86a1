"""Losses for imbalanced data beside DIFC's family; all but the last two take any logits, and none has state."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..functional import Counts
from ..util.distributed import part_of_weighted


class WeightedLoss(nn.Module):
    """Cross-entropy with class weights from the first step on: Σ w_y ℓ / Σ w_y, over the batch of all processes.

    Args:
        class_weights: ``(K,)``; only their ratios matter.
    """

    weights: Tensor  #: ``(K,)``

    def __init__(self, class_weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", class_weights)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.weights.to(logits)
        return part_of_weighted(cross_entropy(logits, labels, weight=weights), weights, labels)


class FocalLoss(nn.Module):
    """Mean of −(1 − p_y)^γ log p_y (Lin et al. 2017, arXiv:1708.02002, eq. 4).

    Args:
        gamma: γ, at least 0; 2 in the paper, 0 is cross-entropy.

    Raises:
        ValueError: γ is negative.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ValueError(f"{gamma=}: must be at least 0")
        self.gamma = gamma

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_probs = -cross_entropy(logits, labels, reduction="none")  # (N,)
        # The floor keeps the gradient of x^γ finite at x = 0, where the loss is 0 anyway.
        misses = (1 - log_probs.exp()).clamp(min=torch.finfo(logits.dtype).eps)
        return -(misses**self.gamma * log_probs).mean()


class LogitAdjustedLoss(nn.Module):
    """Mean cross-entropy of z + τ log π (Menon et al. 2021, arXiv:2007.07314, eq. 10), π the source's class shares.

    With τ = 1 it is balanced softmax (Ren et al. 2020, arXiv:2007.10740, eq. 4). Prediction is by the plain logits.

    Args:
        class_counts: ``(K,)`` source samples per class, all above 0.
        tau: τ.

    Raises:
        ValueError: a class has no sample.
    """

    offsets: Tensor  #: ``(K,)`` τ log π

    def __init__(self, class_counts: Counts, tau: float = 1.0) -> None:
        super().__init__()
        counts = torch.as_tensor(class_counts, dtype=torch.float64)
        if not (counts > 0).all():
            raise ValueError(f"class_counts={counts.tolist()}: every class needs a sample")
        self.register_buffer("offsets", (tau * (counts / counts.sum()).log()).float())

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits + self.offsets.to(logits), labels)


class MarginHeadLoss(nn.Module):
    """A margin loss of pytorch-metric-learning on the cosines of a classifier that is already there.

    The library's losses own a weight matrix and take features; ours is the method's classifier, so that adaptation and
    prediction see it. Its logits are s times cosines, which go into the library's margin and scale.

    Args:
        loss: one of its losses of cosines.
        scale: s, by which the logits are multiplied.
    """

    def __init__(self, loss: nn.Module, scale: float) -> None:
        super().__init__()
        self.loss, self.scale = loss, scale

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = self.loss(logits / self.scale, labels)
        return value


def _on_cosines(base: Any) -> Any:
    """A loss of the library whose embeddings are cosines ``(N, K)`` already, and that has no weight matrix."""

    class OnCosines(base):  # type: ignore[misc]
        def __init__(self, num_classes: int, **kwargs: Any) -> None:
            super().__init__(num_classes=num_classes, embedding_size=1, **kwargs)
            self._parameters.pop("W")
            self.W = torch.empty(1, num_classes)  # no parameter: asked for, and never looked at

        def get_cosine(self, embeddings: Tensor) -> Tensor:
            return embeddings.clamp(-1 + 1e-6, 1 - 1e-6)  # the arc cosine's slope at ±1 is infinite

        def cast_types(self, dtype: torch.dtype, device: torch.device) -> None:
            """There is nothing to cast."""

    return OnCosines


CosFaceOnCosines = _on_cosines(CosFaceLoss)  #: cos θ_y − m (Wang et al. 2018, arXiv:1801.09414); m = 0.35


class ArcFaceOnCosines(_on_cosines(ArcFaceLoss)):  # type: ignore[misc]
    """ArcFace: cos(θ_y + m), continued by cos θ_y − m sin m where θ_y + m > π (Deng et al. 2019, arXiv:1801.07698).

    Differs from the library: there cos(θ_y + m) grows again beyond π, so that features that point away from their own
    class's weights are pushed further away. A small network trained from scratch ends there, with a small loss and an
    accuracy below chance. The continuation is that of the authors' code; no formula of the paper has it.
    """

    def modify_cosine_of_target_classes(self, cosine_of_target_classes: Tensor) -> Tensor:
        turned: Tensor = super().modify_cosine_of_target_classes(cosine_of_target_classes)
        lowered = cosine_of_target_classes - self.margin * math.sin(self.margin)
        return torch.where(cosine_of_target_classes > -math.cos(self.margin), turned, lowered)
