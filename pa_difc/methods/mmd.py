"""Weighted multi-kernel maximum mean discrepancy (MMD), and the class proportions its weights come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor, nn

from ..functional import at_least_float32
from ..util.distributed import total

#: Bandwidths in units of the batch's mean squared distance (Long et al. 2015, arXiv:1502.02791, use such a range).
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)

_distance = LpDistance(normalize_embeddings=False, power=2)


def weighted_mmd(
    source: Tensor, target: Tensor, weights: Tensor | None = None, scales: Sequence[float] = SCALES
) -> Tensor:
    """Squared MMD between a weighted and an unweighted batch, a scalar: the biased estimate.

    Σ_ij a_i a_j k(s_i, s_j) + mean k(t, t) − 2 Σ_ij a_i k(s_i, t_j) / M, with a = weights / Σ weights
    and k the mean of Gaussian kernels. pytorch-adapt's MMDLoss has no weights.

    Args:
        source: ``(N, D)``.
        target: ``(M, D)``.
        weights: ``(N,)``, not negative; None for equal weights.
        scales: bandwidths of the kernels, in units of the batch's mean squared distance.
    """
    source, target = at_least_float32(source), at_least_float32(target)
    a = torch.full_like(source[:, 0], 1 / len(source)) if weights is None else weights / weights.sum()
    b = torch.full_like(target[:, 0], 1 / len(target))
    both, signed = torch.cat([source, target]), torch.cat([a, -b])
    distances = _distance(both)  # (N + M, N + M) squared
    width = distances.detach().mean().clamp(min=1e-12)
    kernel = torch.stack([torch.exp(-distances / (scale * width)) for scale in scales]).mean(dim=0)
    return signed @ kernel @ signed


class ClassRatio(nn.Module):
    """Running class proportions of source labels and target predictions, and α = target / source.

    Args:
        num_classes: K.
        momentum: decay of the running proportions per step.
        largest: α is clamped to [1 / largest, largest], so that a class that is rarely predicted keeps some weight.
    """

    source: Tensor  #: ``(K,)``
    target: Tensor  #: ``(K,)``

    def __init__(self, num_classes: int, momentum: float = 0.99, largest: float = 5.0) -> None:
        super().__init__()
        self.momentum, self.largest = momentum, largest
        self.register_buffer("source", torch.full((num_classes,), 1 / num_classes))
        self.register_buffer("target", torch.full((num_classes,), 1 / num_classes))

    @property
    def alpha(self) -> Tensor:
        """``(K,)`` α, clamped."""
        ratio = (self.target / self.source).nan_to_num(nan=1.0, posinf=self.largest)  # 0/0: a class in neither
        return ratio.clamp(1 / self.largest, self.largest)

    @torch.no_grad()
    def update(self, src_labels: Tensor, target_logits: Tensor) -> None:
        """Adds a batch: labels ``(N,)`` and logits ``(M, K)``."""
        k = len(self.source)
        for running, classes in ((self.source, src_labels), (self.target, target_logits.argmax(dim=1))):
            counts = total(torch.bincount(classes, minlength=k).to(running))
            running.mul_(self.momentum).add_((1 - self.momentum) * (counts / counts.sum()))

    def get_extra_state(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "largest": self.largest}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state != self.get_extra_state():
            raise ValueError(f"these class proportions were computed with {state}, not {self.get_extra_state()}")
