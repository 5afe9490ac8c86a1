"""Stateless losses for imbalanced data that DIFC is compared with; they accept any logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..counts import Counts
from ..functional import at_least_float32, drw_weights, require_number
from ..util.options import Options, option
from .inputs import checked_counts
from .labelled import IGNORE_INDEX, LabelledLoss
from .spec import LossSpec


@dataclass(frozen=True)
class EffectiveOptions(Options):
    """Options of class weights by the effective number of samples."""

    beta: float = option(0.9999, "β of the effective number of samples", at_least=0, at_most=1)


@dataclass(frozen=True)
class FocalOptions(Options):
    """Options of the focal loss."""

    gamma: float = option(2.0, "γ, how strongly easy samples are down-weighted; 0 is cross-entropy", at_least=0)


@dataclass(frozen=True)
class AdjustmentOptions(Options):
    """Options of logit adjustment."""

    tau: float = option(1.0, "τ, the factor on the log class shares; 0 is cross-entropy", at_least=0)


class CrossEntropyLoss(LabelledLoss):
    """Mean cross-entropy, computed like pytorch-adapt's default: per sample, then averaged."""

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing).mean()


class WeightedLoss(LabelledLoss):
    """Cross-entropy with class weights from the first step: Σ w_y ℓ / Σ w_y over the batches of all processes.

    Args:
        class_weights: ``(K,)``; only their ratios matter.
        label_smoothing, ignore_index: see :func:`.make_loss`.
    """

    fixed = frozenset({"class_weights"})
    weights: Tensor  #: ``(K,)``

    def __init__(self, class_weights: Tensor, label_smoothing: float = 0.0, ignore_index: int = IGNORE_INDEX) -> None:
        super().__init__(len(class_weights), label_smoothing, ignore_index)
        self.register_buffer("weights", at_least_float32(class_weights))
        self._made = True

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.weights.to(logits)
        if self.label_smoothing == 0.0:
            return cross_entropy(logits, labels, weight=weights)
        # PyTorch would weight each term of the smoothed target by its own class; here the true class's weight applies
        # to all.
        losses = cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
        return (weights[labels] * losses).sum() / weights[labels].sum()

    def class_factors(self) -> Tensor:
        return self.weights


class FocalLoss(LabelledLoss):
    """Mean of −(1 − p_y)^γ log p_y (Lin et al. 2017, arXiv:1708.02002, eq. 4).

    Args:
        gamma: γ, at least 0; 2 in the paper, 0 is cross-entropy.
        label_smoothing, ignore_index: see :func:`.make_loss`.
        num_classes: K, if the loss should check it.

    Raises:
        ValueError: γ is negative.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        label_smoothing: float = 0.0,
        ignore_index: int = IGNORE_INDEX,
        num_classes: int | None = None,
    ) -> None:
        super().__init__(num_classes, label_smoothing, ignore_index)
        require_number("gamma", gamma)
        if not gamma >= 0:
            raise ValueError(f"{gamma=}: must be at least 0")
        self.gamma = gamma

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = self._focused(-cross_entropy(logits, labels, reduction="none"))  # (N,)
        if self.label_smoothing > 0.0:
            uniform = self._focused(logits.log_softmax(dim=1)).mean(dim=1)  # (N,)
            losses = torch.lerp(losses, uniform, self.label_smoothing)
        return losses.mean()

    def _focused(self, log_probs: Tensor) -> Tensor:
        # The floor keeps the gradient of x^γ finite at x = 0, where the loss is 0 anyway.
        misses = (1 - log_probs.exp()).clamp(min=torch.finfo(log_probs.dtype).eps)
        return -(misses**self.gamma * log_probs)


class LogitAdjustedLoss(LabelledLoss):
    """Mean cross-entropy of z + τ log π (Menon et al. 2021, arXiv:2007.07314, eq. 10), π the source's class shares.

    τ = 1 gives balanced softmax (Ren et al. 2020, arXiv:2007.10740, eq. 4). Predictions use the unadjusted logits.

    Args:
        class_counts: ``(K,)`` source samples per class, all above 0.
        tau: τ, the factor on log π.
        label_smoothing, ignore_index: see :func:`.make_loss`.

    Raises:
        ValueError: a class has no sample, or a count is a fraction.
    """

    fixed = frozenset({"class_counts", "tau"})
    offsets: Tensor  #: ``(K,)`` τ log π

    def __init__(
        self,
        class_counts: Counts,
        tau: float = 1.0,
        label_smoothing: float = 0.0,
        ignore_index: int = IGNORE_INDEX,
    ) -> None:
        counts = checked_counts(class_counts).double()
        super().__init__(len(counts), label_smoothing, ignore_index)
        require_number("tau", tau)
        if not (counts > 0).all() or not counts.isfinite().all():
            raise ValueError(f"class_counts={counts.tolist()}: every class needs a sample")
        self.register_buffer("offsets", (tau * (counts / counts.sum()).log()).float())
        self._made = True

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits + self.offsets.to(logits), labels, label_smoothing=self.label_smoothing)


CROSS_ENTROPY = LossSpec("cross-entropy", lambda i: CrossEntropyLoss(i.classes, **i.shared), smooths=True)
WEIGHTED_INVERSE = LossSpec(
    "class weights by inverse frequency, from the first step",
    lambda i: WeightedLoss(drw_weights(i.counts, 1.0), **i.shared),
    smooths=True,
)
WEIGHTED_EFFECTIVE = LossSpec(
    "class weights by effective number (Cui 2019), from the first step",
    lambda i: WeightedLoss(drw_weights(i.counts, i.options.beta), **i.shared),
    EffectiveOptions,
    smooths=True,
)
FOCAL = LossSpec(
    "focal loss (Lin 2017)",
    lambda i: FocalLoss(i.options.gamma, num_classes=i.classes, **i.shared),
    FocalOptions,
    smooths=True,
)
LOGIT_ADJUSTED = LossSpec(
    "logits raised by the log class proportions (Menon 2021)",
    lambda i: LogitAdjustedLoss(i.counts, i.options.tau, **i.shared),
    AdjustmentOptions,
    smooths=True,
)
BALANCED_SOFTMAX = LossSpec(
    "balanced softmax (Ren 2020): logit_adjusted at τ = 1",
    lambda i: LogitAdjustedLoss(i.counts, 1.0, **i.shared),
    same_as="logit_adjusted",
    smooths=True,
)
