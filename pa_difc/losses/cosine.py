"""CosFace and ArcFace, the margin losses for cosine classifiers, built on pytorch-metric-learning."""

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
    """Options of CosFace."""

    margin: float = option(0.35, "m, by which the true class's cosine is lowered", unit="cosine", at_least=0, at_most=2)


@dataclass(frozen=True)
class ArcFaceOptions(Options):
    """Options of ArcFace."""

    margin: float = option(28.6, "m, added to the true class's angle", unit="degrees", at_least=0, at_most=90)


#: Tolerance for cosines computed in half precision, which may exceed 1.
_ROUNDING = 0.02


class MarginHeadLoss(LabelledLoss):
    """Applies a margin loss of pytorch-metric-learning to the logits of an existing cosine classifier.

    The library's losses take features and own a weight matrix. Here the weights are the method's classifier, which
    adaptation and prediction use too. Its logits are s · cos θ; the library's loss gets the cosines.

    Args:
        loss: :class:`CosFaceOnCosines` or :class:`ArcFaceOnCosines`, with the same scale.
        scale: s, the factor that the logits contain.
        label_smoothing, ignore_index: see :func:`.make_loss`.

    Raises:
        ValueError: (when called) logits exceed ±s, so they can't be s · cosines.
    """

    fixed = frozenset({"scale", "label_smoothing"})

    def __init__(self, loss: Any, scale: float, label_smoothing: float = 0.0, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__(loss.num_classes, label_smoothing, ignore_index)
        self.loss, self.scale = loss, scale
        self.loss.cross_entropy.label_smoothing = label_smoothing
        self._made = True

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
    """A loss of the library that takes cosines ``(N, K)`` as embeddings and has no weight matrix."""

    class OnCosines(base):
        def __init__(self, num_classes: int, **kwargs: Any) -> None:
            super().__init__(num_classes=num_classes, embedding_size=1, **kwargs)
            self._parameters.pop("W")
            self.W = torch.empty(1, num_classes)  # the library expects the attribute but never uses it

        def get_cosine(self, embeddings: Tensor) -> Tensor:
            return embeddings.clamp(-1 + 1e-6, 1 - 1e-6)  # the arc cosine's slope at ±1 is infinite

        def cast_types(self, dtype: torch.dtype, device: torch.device) -> None:
            """Does nothing: there is no weight matrix to cast."""

    return OnCosines


class CosFaceOnCosines(_on_cosines(CosFaceLoss)):  # type: ignore[misc]
    """CosFace: the true class's cosine lowered to cos θ_y − m (Wang et al. 2018, arXiv:1801.09414, eq. 4)."""


class ArcFaceOnCosines(_on_cosines(ArcFaceLoss)):  # type: ignore[misc]
    """ArcFace: cos(θ_y + m), continued by cos θ_y − m sin m where θ_y + m > π (Deng et al. 2019, arXiv:1801.07698).

    Differs from the library: there cos(θ_y + m) rises again once θ_y + m > π, which pushes features that point away
    from their class's weights further away. A small network trained from scratch gets stuck there, with a small loss
    and an accuracy below chance. The continuation is in the authors' code but in no formula of the paper.
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
