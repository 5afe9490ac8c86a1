"""The state of self-training: its teacher, and how pseudo-labels are made (equations: :mod:`.self_training`)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..losses.pseudo import LEAST_SHARE, PseudoLabelLoss, batch_mean
from ..util.distributed import whole_mean
from ..util.errors import UserError
from .averaged import AveragedModels
from .heads import num_classes_of, scale_of
from .teaching_options import SelfTrainingOptions

#: Largest share of one class in a teacher's recent predictions; above it, self-training has collapsed.
MOST_OF_ONE_CLASS = 0.98
#: Batches before collapse is checked for.
_JUDGED_AFTER = 20

#: With align=own: step size of the dual ascent, and decay of the pseudo-labels' running mean.
_ASCENT, _GUESSES_KEPT = 0.05, 0.9


class Teaching(nn.Module):
    """The state of self-training: running means, the target's loss, and a teacher of its own if it has one.

    Args:
        options: the options of self-training.
        models: the models that the method predicts with.
    """

    source_mean: Tensor  #: ``(K,)`` running mean of the student's predictions on the source
    estimate: Tensor  #: ``(K,)`` estimated class proportions of the target
    guessed: Tensor  #: ``(K,)`` running mean of pseudo-labels, with align=own
    bias: Tensor  #: ``(K,)`` b, with align=own

    def __init__(self, options: SelfTrainingOptions, models: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.options = options
        self.class_names: tuple[str, ...] = ()  #: for errors; if empty, errors name a class by its index
        k, scale = num_classes_of(models["C"]), scale_of(models["C"])
        self.loss = PseudoLabelLoss(
            options.target_loss,
            k,
            max_margin=scale * options.target_margin,
            epsilon=scale * options.target_epsilon,
            power=options.target_power,
        )
        for name in ("source_mean", "estimate", "guessed"):
            self.register_buffer(name, torch.full((k,), 1 / k, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(k, dtype=torch.float64))
        decay = {"average": options.teacher_decay, "start": 1.0}.get(options.teacher)
        self.teacher = None if decay is None else AveragedModels(models, decay)
        self.other: nn.Module | None = None

    def learn_from(self, model: nn.Module) -> None:
        """Sets another model as the teacher; it must map a batch of faces to class probabilities ``(N, K)``."""
        self.other = model.requires_grad_(False).eval()

    def follow(self, models: Mapping[str, nn.Module]) -> None:
        """Moves to the models' device; pytorch-adapt's frameworks don't move ``misc``."""
        device = next(models["C"].parameters()).device
        if self.estimate.device != device:
            self.to(device)

    def step_ends(self, models: Mapping[str, nn.Module]) -> None:
        """Updates an averaging teacher after a step of the student."""
        if self.teacher is not None and self.options.teacher == "average":
            self.teacher.update(models)

    @torch.no_grad()
    def guesses(self, probs: Tensor, source_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Aligned and sharpened pseudo-labels ``(N, K)`` and which of them count ``(N,)``; updates running means.

        Args:
            probs: ``(N, K)`` the teacher's predictions.
            source_probs: ``(M, K)`` the student's predictions on the source batch; None if the method has none.
        """
        if source_probs is not None:
            self.source_mean.lerp_(batch_mean(source_probs), 1 - self.loss.kept)
        kept, least = self.loss.kept, self.options.threshold * _confidence(source_probs)
        self.loss.observe(probs)
        if self.options.align == "own":
            guesses = self._of_own_proportions(probs.double(), kept.clamp(max=_GUESSES_KEPT))
            return guesses, guesses.max(dim=1).values >= least
        aligned = probs.double() * self._ratio(probs)
        aligned = aligned / aligned.sum(dim=1, keepdim=True)
        return _sharpened(aligned, self.options.temperature), aligned.max(dim=1).values >= least

    def require_spread(self) -> None:
        """Refuses to continue when self-training has collapsed.

        Raises:
            UserError: the teacher's recent predictions are nearly all of one class.
        """
        share, index = self.loss.mean.max(dim=0)
        if self.loss.steps >= _JUDGED_AFTER and share > MOST_OF_ONE_CLASS:
            name = self.class_names[int(index)] if self.class_names else f"number {int(index)}"
            raise UserError(
                f"self-training: {share:.1%} of the target's pseudo-labels are of one class ({name}), "
                "so no other class is learnt: start from a better classifier, or train without self-training"
            )

    def _of_own_proportions(self, probs: Tensor, kept: Tensor) -> Tensor:
        """``(N, K)`` sharpened pseudo-labels whose running mean approaches that of the teacher's predictions."""
        guesses = (probs.log() / self.options.temperature + self.bias).softmax(dim=1)
        self.guessed.lerp_(batch_mean(guesses), 1 - kept)
        wanted, found = (mean.clamp(min=LEAST_SHARE).log() for mean in (self.loss.mean, self.guessed))
        self.bias.add_(_ASCENT * (wanted - found))
        return guesses

    def _ratio(self, probs: Tensor) -> Tensor:
        """``(K,)`` (r / q̂)^a."""
        mean, k = self.loss.mean.clamp(min=LEAST_SHARE), probs.shape[1]
        if self.options.align == "none":
            return torch.ones_like(mean)
        if self.options.align == "estimated":
            # One EM step of Saerens et al. 2002 (Neural Computation 14): posteriors under the current estimate.
            posteriors = probs.double() * (self.estimate / self.source_mean.clamp(min=LEAST_SHARE))
            found = batch_mean(posteriors / posteriors.sum(dim=1, keepdim=True))
            self.estimate.lerp_(found, 1 - self.loss.memory)
        wanted = {"equal": torch.full_like(mean, 1 / k), "source": self.source_mean, "estimated": self.estimate}
        return (wanted[self.options.align].clamp(min=LEAST_SHARE) / mean) ** self.options.align_power


def _sharpened(probs: Tensor, temperature: float) -> Tensor:
    """``(N, K)`` p^(1/T), normalised; one-hot rows where T = 0."""
    if temperature == 0:
        return torch.zeros_like(probs).scatter_(1, probs.argmax(dim=1, keepdim=True), 1.0)
    return (probs.log() / temperature).softmax(dim=1)


def _confidence(source_probs: Tensor | None) -> Tensor | float:
    """Mean largest probability of ``(M, K)`` predictions on the source; 1 without a source."""
    if source_probs is None:
        return 1.0
    return whole_mean(source_probs.double().max(dim=1).values.mean(), len(source_probs))
