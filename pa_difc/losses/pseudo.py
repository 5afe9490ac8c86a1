"""The classification loss of pseudo-labelled target samples."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional import at_least_float32, confusion_from_sums, confusion_margins, gap_sums
from ..util.distributed import total
from .labelled import UnroundedBuffers

#: Each loss's ingredients (class weights, margins, confusion); the names mean the same as in :data:`.LOSSES`.
TARGET_LOSSES = {
    "ce": frozenset[str](),
    "drw": frozenset({"weights"}),
    "margin": frozenset({"margins"}),
    "di": frozenset({"weights", "margins"}),
    "difc": frozenset({"weights", "margins", "confusion"}),
}

#: Lower bound on a class's share of the predictions; keeps the weight of a class that is never predicted finite.
LEAST_SHARE = 1e-3


class PseudoLabelLoss(UnroundedBuffers):
    """Cross-entropy, DI or DIFC on pseudo-labels, with class proportions from a teacher's predictions on the target.

    L = 1/N Σ_i m_i Σ_k p̃_ik ω_k · CE(z_i − Δ_k·onehot(k), k)

    Here p̃ are the teacher's probabilities (one-hot rows for hard pseudo-labels), m is a mask, ω_k ∝ q̂_k^(−power) with
    Σ_k q̂_k ω_k = 1 are class weights, and Δ_k = max_margin · (min_j q̂_j / q̂_k)^(1/4) are margins, which "difc" raises
    for confused classes (Sreenivas et al. 2022, eqs. 3 to 6). q̂ is a running mean of the teacher's predictions, which
    also give the confusion, so that pseudo-labels that drift towards frequent classes weigh less.

    The paper's margins apply to the source alone and counter its imbalance; these counter the imbalance of the target's
    predicted class distribution.

    Args:
        name: one of :data:`TARGET_LOSSES`.
        num_classes: K.
        max_margin: the largest margin, in logit units.
        epsilon: ε, the largest increment for confusion, in logit units.
        power: exponent of the class weights: 0 for equal weights, 1 for inverse frequencies, ½ in between.
        memory: decay of q̂ and of the confusion sums, per step.

    In a torch.distributed group each process passes its part of the batch; q̂ and confusion are of the whole batch.

    Raises:
        ValueError: ``name`` is none of them.
    """

    mean: Tensor  #: ``(K,)`` q̂
    gap_sums: Tensor  #: ``(K,)`` of eq. 5, over roughly the last 1 / (1 − memory) steps
    gap_counts: Tensor  #: ``(K,)``
    steps: Tensor  #: batches observed

    def __init__(
        self,
        name: str,
        num_classes: int,
        *,
        max_margin: float = 1.0,
        epsilon: float = 0.5,
        power: float = 0.5,
        memory: float = 0.99,
    ) -> None:
        super().__init__()
        if name not in TARGET_LOSSES:
            raise ValueError(f"{name=}: must be one of {', '.join(TARGET_LOSSES)}")
        self.ingredients = TARGET_LOSSES[name]
        self.max_margin, self.epsilon, self.power, self.memory = max_margin, epsilon, power, memory
        self.register_buffer("mean", torch.full((num_classes,), 1 / num_classes, dtype=torch.float64))
        for sums in ("gap_sums", "gap_counts"):
            self.register_buffer(sums, torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def observe(self, probs: Tensor) -> None:
        """Adds a batch of the teacher's predictions ``(N, K)``, before distribution alignment."""
        keep = self.kept
        self.mean.mul_(keep).add_((1 - keep) * batch_mean(probs))
        for kept, new in zip((self.gap_sums, self.gap_counts), total(torch.stack(gap_sums(probs))), strict=True):
            kept.mul_(self.memory).add_(new)
        self.steps.add_(1)

    @property
    def kept(self) -> Tensor:
        """Decay of the running mean at the next batch, a scalar; early on the running mean is a plain mean."""
        return (self.steps.double() / (self.steps + 1)).clamp(max=self.memory)

    @property
    def margins(self) -> Tensor:
        """``(K,)`` Δ, in logit units."""
        share = self.mean.clamp(min=LEAST_SHARE)
        margins = self.max_margin * (share.min() / share) ** 0.25
        if "margins" not in self.ingredients:
            return torch.zeros_like(margins)
        if "confusion" not in self.ingredients or not self.gap_counts.any():
            return margins
        return confusion_margins(margins, confusion_from_sums(self.gap_sums, self.gap_counts), self.epsilon)

    @property
    def class_weights(self) -> Tensor:
        """``(K,)`` ω; their mean over predictions is 1, so that weighting doesn't change the loss's scale."""
        if "weights" not in self.ingredients:
            return torch.ones_like(self.mean)
        weights = self.mean.clamp(min=LEAST_SHARE) ** -self.power
        return weights / (self.mean * weights).sum()

    def forward(self, logits: Tensor, guesses: Tensor, mask: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            logits: ``(N, K)`` of the student.
            guesses: ``(N, K)`` p̃, without gradient.
            mask: ``(N,)`` m, in [0, 1].
        """
        logits = at_least_float32(logits)
        lowered = logits[:, None, :] - torch.diag(self.margins.to(logits))  # (N, K, K): row k has z_k lowered
        losses = -lowered.log_softmax(dim=2).diagonal(dim1=1, dim2=2)  # (N, K)
        each = (guesses.to(logits) * self.class_weights.to(logits) * losses).sum(dim=1)  # (N,)
        return (mask.to(logits) * each).mean()


def batch_mean(probs: Tensor) -> Tensor:
    """The mean ``(K,)`` of rows ``(N, K)`` over all processes' parts of a batch, in float64."""
    sums = total(torch.cat([probs.double().sum(dim=0), probs.new_full((1,), len(probs), dtype=torch.float64)]))
    return sums[:-1] / sums[-1]
