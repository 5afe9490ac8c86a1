"""The classification loss of target samples whose labels are guesses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..functional import at_least_float32, confusion_from_sums, confusion_margins, gap_sums
from ..util.distributed import total

#: The ingredients of the loss by name, in the words of :data:`.LOSSES`: class weights, margins, confusion.
TARGET_LOSSES = {
    "ce": frozenset[str](),
    "drw": frozenset({"weights"}),
    "margin": frozenset({"margins"}),
    "di": frozenset({"weights", "margins"}),
    "difc": frozenset({"weights", "margins", "confusion"}),
}

#: A class that is never guessed counts as one of so many guesses: its weight stays finite.
LEAST_SHARE = 1e-3


class PseudoLabelLoss(nn.Module):
    """Cross-entropy, DI or DIFC where the class proportions are those of a teacher's guesses on the target.

    L = 1/N Σ_i m_i Σ_k p̃_ik ω_k · CE(z_i − Δ_k·onehot(k), k)

    with guesses p̃ (a one-hot row is a pseudo-label), a mask m, class weights ω_k ∝ q̂_k^(−power), Σ_k q̂_k ω_k = 1, and
    margins Δ_k = max_margin · (min_j q̂_j / q̂_k)^(1/4); "difc" raises these for confused classes (Sreenivas et al.
    2022, eqs. 3 to 6). q̂ is a running mean of the teacher's predictions and the confusion is theirs, too, so that
    pseudo-labels that drift to frequent classes are worth less.

    Differs from the paper, which has margins on the source alone: there they stand for the source's imbalance, here
    for that of the distribution that is predicted in the end.

    Args:
        name: one of :data:`TARGET_LOSSES`.
        num_classes: K.
        max_margin: the largest margin, in logits.
        epsilon: ε, the largest raise for confusion, in logits.
        power: of the class weights; ½ in between equal weights (0) and inverse frequencies (1).
        memory: the share of q̂ and of the confusion's sums that a step keeps.

    On several processes each gives its part of the batch; q̂ and the confusion are those of the whole.

    Raises:
        ValueError: there is no such loss.
    """

    mean: Tensor  #: ``(K,)`` q̂
    gap_sums: Tensor  #: ``(K,)`` of eq. 5, over predictions of the last 1 / (1 − memory) steps or so
    gap_counts: Tensor  #: ``(K,)``
    steps: Tensor  #: how many batches have been seen

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
        """Adds a batch of the teacher's predictions ``(N, K)``, before any alignment."""
        keep = self.kept
        self.mean.mul_(keep).add_((1 - keep) * batch_mean(probs))
        for kept, new in zip((self.gap_sums, self.gap_counts), total(torch.stack(gap_sums(probs))), strict=True):
            kept.mul_(self.memory).add_(new)
        self.steps.add_(1)

    @property
    def kept(self) -> Tensor:
        """The share of a running mean that the next batch leaves, a scalar: they are plain means in the beginning."""
        return (self.steps.double() / (self.steps + 1)).clamp(max=self.memory)

    @property
    def margins(self) -> Tensor:
        """``(K,)`` Δ, in logits."""
        share = self.mean.clamp(min=LEAST_SHARE)
        margins = self.max_margin * (share.min() / share) ** 0.25
        if "margins" not in self.ingredients:
            return torch.zeros_like(margins)
        if "confusion" not in self.ingredients or not self.gap_counts.any():
            return margins
        return confusion_margins(margins, confusion_from_sums(self.gap_sums, self.gap_counts), self.epsilon)

    @property
    def class_weights(self) -> Tensor:
        """``(K,)`` ω; their mean over guesses is 1, so that a loss with weights takes steps as long as one without."""
        if "weights" not in self.ingredients:
            return torch.ones_like(self.mean)
        weights = self.mean.clamp(min=LEAST_SHARE) ** -self.power
        return weights / (self.mean * weights).sum()

    def forward(self, logits: Tensor, guesses: Tensor, mask: Tensor) -> Tensor:
        """The loss, a scalar.

        Args:
            logits: ``(N, K)`` of the student.
            guesses: ``(N, K)`` p̃, constants for the gradient.
            mask: ``(N,)`` m, in [0, 1].
        """
        logits = at_least_float32(logits)
        lowered = logits[:, None, :] - torch.diag(self.margins.to(logits))  # (N, K, K): row k has z_k lowered
        losses = -lowered.log_softmax(dim=2).diagonal(dim1=1, dim2=2)  # (N, K)
        each = (guesses.to(logits) * self.class_weights.to(logits) * losses).sum(dim=1)  # (N,)
        return (mask.to(logits) * each).mean()


def batch_mean(probs: Tensor) -> Tensor:
    """The mean ``(K,)`` of rows ``(N, K)``, over all processes' parts of a batch; in float64."""
    sums = total(torch.cat([probs.double().sum(dim=0), probs.new_full((1,), len(probs), dtype=torch.float64)]))
    return sums[:-1] / sums[-1]
