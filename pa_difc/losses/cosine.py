"""The margin losses of cosine classifiers: CosFace and ArcFace, by pytorch-metric-learning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn

from ..util.options import Options, option
from .labelled import IGNORE_INDEX, LabelledLoss
from .spec import ClassificationLoss, LossInputs, LossSpec


@dataclass(frozen=True)
class CosFaceOptions(Options):
    """Of CosFace."""

    margin: float = option(0.35, "m, by which the true class's cosine is lowered", unit="cosine", at_least=0, at_most=2)


@dataclass(frozen=True)
class ArcFaceOptions(Options):
    """Of ArcFace."""

    margin: float = option(28.6, "m, added to the true class's angle", unit="degrees", at_least=0, at_most=90)


#: How far beyond 1 a cosine may lie that was computed in half precision.
_ROUNDING = 0.02


class MarginHeadLoss(LabelledLoss):
    """A margin loss of pytorch-metric-learning on the cosines of a classifier that is already there.

    The library's losses own a weight matrix and take features; ours is the method's classifier, so that adaptation and
    prediction see it. Its logits are s times cosines, which go into the library's margin and scale.

    Args:
        loss: one of its losses of cosines.
        scale: s, by which the logits are multiplied.
        label_smoothing, ignore_index: see :func:`.make_loss`.

    Raises:
        ValueError: (when called) logits lie beyond ±s, and are no cosines.
    """

    def __init__(self, loss: Any, scale: float, label_smoothing: float = 0.0, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__(loss.num_classes, label_smoothing, ignore_index)
        self.loss, self.scale = loss, scale
        self.loss.cross_entropy.label_smoothing = label_smoothing

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        cosines = logits / self.scale
        if len(cosines) and (largest := float(cosines.detach().abs().max())) > 1 + _ROUNDING:
            raise ValueError(
                f"logits of up to {largest * self.scale:.3g} with scale={self.scale:g}: must be scale · cosines, of a "
                "cosine classifier with the same scale"
            )
        value: Tensor = self.loss(cosines, labels)
        return value


def _on_cosines(base: Any) -> Any:
    """A loss of the library whose embeddings are cosines ``(N, K)`` already, and that has no weight matrix."""

    class OnCosines(base):
        def __init__(self, num_classes: int, **kwargs: Any) -> None:
            super().__init__(num_classes=num_classes, embedding_size=1, **kwargs)
            self._parameters.pop("W")
            self.W = torch.empty(1, num_classes)  # no parameter: asked for, and never looked at

        def get_cosine(self, embeddings: Tensor) -> Tensor:
            return embeddings.clamp(-1 + 1e-6, 1 - 1e-6)  # the arc cosine's slope at ±1 is infinite

        def cast_types(self, dtype: torch.dtype, device: torch.device) -> None:
            """There is nothing to cast."""

    return OnCosines


class CosFaceOnCosines(_on_cosines(CosFaceLoss)):  # type: ignore[misc]
    """CosFace: the true class's cosine lowered to cos θ_y − m (Wang et al. 2018, arXiv:1801.09414, eq. 4)."""


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


def _build(loss: type[nn.Module], inputs: LossInputs) -> ClassificationLoss:
    on_cosines = loss(inputs.k, margin=inputs.options.margin, scale=inputs.scale)
    return MarginHeadLoss(on_cosines, inputs.scale, **inputs.shared)


_COSINE_ONLY: dict[str, Any] = {"classifier": "cosine", "classifiers": ("cosine",)}

COSFACE = LossSpec(
    "CosFace (Wang 2018)", partial(_build, CosFaceOnCosines), CosFaceOptions, **_COSINE_ONLY, smooths=True
)
ARCFACE = LossSpec(
    "ArcFace (Deng 2019)", partial(_build, ArcFaceOnCosines), ArcFaceOptions, **_COSINE_ONLY, smooths=True
)
