"""Self-training: a teacher guesses the target's labels, and the student learns them on strong views of the same faces.

    L += w · L_target(C(G(strong(x_t))), p̃),   p̃ ∝ p_T(x_t) · (r / q̂)^a

with p_T the teacher's class probabilities on the plain view, q̂ their running mean, r the proportions that guesses are
aligned to, and L_target of :class:`.pseudo.PseudoLabelLoss`: cross-entropy, or DI or DIFC with the imbalance and the
confusion of the guesses. Guesses are sharpened in the end, p̃^(1/T). Samples count whose most probable class has at
least ``threshold`` times the mean of the source batch's largest probabilities.

With ``align="own"`` guesses are sharpened first and then brought back to the proportions that the teacher's predictions
had before: p̃ ∝ p_T^(1/T) · e^b, where b is found by dual ascent on the constraint that the mean of p̃ is q̂. Sharpening
takes mass from rare classes, and a teacher that follows its student passes that on; this way it takes none.

AdaMatch (Berthelot et al. 2021, arXiv:2106.04732) is the student as its own teacher, with hard guesses; differs from
the paper: r is uniform and not the source's, a is ½ and not 1, the student guesses in eval mode, and source and target
are not mixed in BatchNorm. Mean teacher (Tarvainen and Valpola 2017, arXiv:1703.01780) has the average of the student's
weights for a teacher; differs from the paper: guesses are sharpened and aligned, and the loss is cross-entropy.
Distillation keeps the classifier that training began with for a teacher, or takes another model.

Any of them joins any method: ``METHODS["mcd+mean_teacher"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..functional import mean_probs
from ..losses.pseudo import LEAST_SHARE, TARGET_LOSSES, PseudoLabelLoss, batch_mean
from ..util import options as option_tools
from ..util.distributed import whole_mean
from ..util.errors import UserError
from ..util.options import option
from ._host import BaseHook
from .averaged import AveragedModels
from .composition import added
from .heads import num_classes_of, scale_of
from .hooks import eval_mode
from .slot import LossSlot
from .source_only import SourceOnly

TEACHERS = ("student", "average", "start")
WHO = "who guesses: student, average (of its weights), start, or the folder of another run or model"
ALIGNMENTS = ("equal", "source", "estimated", "own", "none")
_TEMPERATURE = "guesses are p^(1/T): 1 as they are, 0 the most probable class"
_ALIGN = "class proportions that guesses are aligned to: equal, source, estimated, own (the teacher's) or none"

#: Of the last predictions of a teacher, no class may have more than this share: there is nothing to learn from one.
MOST_OF_ONE_CLASS = 0.98
#: Batches before a teacher is judged.
_JUDGED_AFTER = 20

#: With align=own: the length of a step of the dual ascent, and the share of the guesses' mean that a batch leaves.
_ASCENT, _GUESSES_KEPT = 0.05, 0.9


@dataclass(frozen=True)
class SelfTrainingOptions(option_tools.Options):
    """Of self-training."""

    teacher: str = option("average", WHO, choices=TEACHERS, folders=True)
    teacher_decay: float = option(
        0.99, "share of the average that a step keeps, with teacher=average", above=0, below=1
    )
    align: str = option("equal", _ALIGN, choices=ALIGNMENTS)
    align_power: float = option(0.5, "a, how far guesses are aligned", above=0, at_most=1)
    threshold: float = option(
        0.0, "guesses below this share of the source's mean confidence are left out", at_least=0, at_most=1
    )
    temperature: float = option(0.5, _TEMPERATURE, at_least=0, at_most=1)
    target_weight: float = option(1.0, "factor on the target's loss", at_least=0)
    target_loss: str = option("ce", "the loss on guesses: ce, drw, margin, di or difc", choices=TARGET_LOSSES)
    target_margin: float = option(1.0, "largest margin of target_loss", unit="logits", at_least=0)
    target_epsilon: float = option(0.5, "ε of target_loss=difc", unit="logits", at_least=0)
    target_power: float = option(0.2, "class weights of target_loss are q^-power", at_least=0, at_most=1)
    strong_views: bool = option(True, "the student sees turned, scaled, relit and covered faces")

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        ingredients = TARGET_LOSSES[values["target_loss"]]
        effects = {
            "teacher_decay": ("teacher", values["teacher"] == "average"),
            "align_power": ("align", values["align"] not in ("own", "none")),
            "target_margin": ("target_loss", "margins" in ingredients),
            "target_epsilon": ("target_loss", "confusion" in ingredients),
            "target_power": ("target_loss", "weights" in ingredients),
        }
        own = {name: f"{other}={values[other]}" for name, (other, has_effect) in effects.items() if not has_effect}
        return super().without_effect(values) | own

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.align == "own" and self.temperature == 0:
            raise UserError("align=own is of guesses that are sharpened: with temperature=0 there is nothing to align")


class Teaching(nn.Module):
    """The state of self-training: running means, the target's loss, and a teacher of its own if it has one.

    Args:
        options: of self-training.
        models: those that a method predicts with.
    """

    source_mean: Tensor  #: ``(K,)`` running mean of the student's predictions on the source
    estimate: Tensor  #: ``(K,)`` estimated proportions of the target
    guessed: Tensor  #: ``(K,)`` running mean of guesses that are aligned to their teacher's own proportions
    bias: Tensor  #: ``(K,)`` b, which does that

    def __init__(self, options: SelfTrainingOptions, models: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.options = options
        self.class_names: tuple[str, ...] = ()  #: for errors; none: classes are named by their numbers
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
        """Takes another model for a teacher, from a batch of faces to class probabilities ``(N, K)``."""
        self.other = model.requires_grad_(False).eval()

    def follow(self, models: Mapping[str, nn.Module]) -> None:
        """Goes to the device that the models are on: the host's frameworks leave misc behind."""
        device = next(models["C"].parameters()).device
        if self.estimate.device != device:
            self.to(device)

    def step_ends(self, models: Mapping[str, nn.Module]) -> None:
        """Lets an averaging teacher follow the student, after its step."""
        if self.teacher is not None and self.options.teacher == "average":
            self.teacher.update(models)

    @torch.no_grad()
    def guesses(self, probs: Tensor, source_probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Aligned and sharpened guesses ``(N, K)`` and which of them count ``(N,)``; running means take the batch in.

        Args:
            probs: ``(N, K)`` the teacher's.
            source_probs: ``(M, K)`` the student's on the source batch; None where a method has none.
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
        """Refuses to feed a collapse.

        Raises:
            UserError: nearly all guesses of the last batches are of one class.
        """
        share, index = self.loss.mean.max(dim=0)
        if self.loss.steps >= _JUDGED_AFTER and share > MOST_OF_ONE_CLASS:
            name = self.class_names[int(index)] if self.class_names else f"number {int(index)}"
            raise UserError(
                f"self-training: {share:.1%} of the target's guessed labels are of one class ({name}), "
                "which teaches nothing else: start from a better classifier, or train without it"
            )

    def _of_own_proportions(self, probs: Tensor, kept: Tensor) -> Tensor:
        """``(N, K)`` sharpened guesses whose mean comes to be that of the teacher's predictions."""
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
            # A step of Saerens et al. 2002 (Neural Computation 14): posteriors under the proportions so far.
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
    """The mean of the largest probabilities ``(M, K)`` on the source; 1 where there is no source."""
    if source_probs is None:
        return 1.0
    return whole_mean(source_probs.double().max(dim=1).values.mean(), len(source_probs))


class SelfTrainingHook(BaseHook):
    """The loss of guessed labels; it is the only one that sees strong views, where the batch has some.

    Args:
        teaching: its state.
        infer: the method's way to predict.
        names: of the models that it predicts with.

    The student's logits ``(N, K)`` of what it has seen are handed on as "target_student_logits".
    """

    def __init__(
        self, teaching: Teaching, infer: Callable[..., dict[str, Tensor]], names: tuple[str, ...], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.teaching, self.infer, self.names = teaching, infer, names
        self.set_in_keys(["target_imgs"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        faces, options = inputs["target_imgs"], self.teaching.options
        view = inputs.get("target_imgs_strong", faces)
        models = {name: inputs[name] for name in self.names}
        source_logits = inputs.get("src_imgs_features_logits")
        source_probs = None if source_logits is None else mean_probs(source_logits)
        self.teaching.follow(models)
        known = inputs.get("target_log_probs") if options.teacher == "start" else None
        taught = self._taught(faces, models) if known is None else known.exp()
        guesses, mask = self.teaching.guesses(taught, source_probs)
        logits = self.infer(view, models=models, domain=1)["logits"]
        loss = options.target_weight * self.teaching.loss(logits, guesses, mask)
        return {"target_student_logits": logits}, {"self_training_loss": loss}

    @torch.no_grad()
    def _taught(self, faces: Any, models: Mapping[str, nn.Module]) -> Tensor:
        """``(N, K)`` the teacher's class probabilities, in eval mode."""
        if (who := self.teaching.options.teacher) not in TEACHERS:
            if self.teaching.other is None:
                raise UserError(f"teacher={who}: the model of that folder comes to teaching.learn_from(model)")
            with eval_mode(self.teaching.other):
                probs: Tensor = self.teaching.other(faces)
            return probs
        if self.teaching.teacher is not None:
            models = dict(self.teaching.teacher.models.items())
        with eval_mode(*models.values()):
            return self.infer(faces, models=models, domain=1)["logits"].softmax(dim=1)

    def _loss_keys(self) -> list[str]:
        return ["self_training_loss"]

    def _out_keys(self) -> list[str]:
        return ["target_student_logits"]


class SelfTrained(LossSlot):
    """Mixin that adds self-training to a method: ``class Mine(SelfTrained, MCD)``.

    Arguments are those of the method, and :class:`SelfTrainingOptions`.
    """

    uses_target: ClassVar[bool] = True

    @property
    def reads_strong_views(self) -> int:
        options: Any = self.options
        return max(int(options.strong_views), super().reads_strong_views)

    def method_state(self) -> dict[str, Any]:
        options: Any = self.options  # of a class that has both kinds of options
        self.teaching = Teaching(options, {name: self.models[name] for name in self.student()[1]})
        return {**super().method_state(), "teaching": self.teaching}

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        hook = SelfTrainingHook(self.teaching, *self.student())
        super().init_hook(added(hook, self.hook_slot, hook_kwargs))

    def end_epoch(self) -> None:
        super().end_epoch()
        self.teaching.require_spread()

    def training_step(self, batch: Mapping[str, Any], **kwargs: Any) -> dict[str, dict[str, float]]:
        losses = super().training_step(batch, **kwargs)
        self.teaching.step_ends(self.models)
        return losses


@dataclass(frozen=True)
class AdaMatchOptions(SelfTrainingOptions):
    """Of AdaMatch: self-training whose defaults are its own."""

    teacher: str = option("student", WHO, choices=TEACHERS, folders=True)
    threshold: float = option(
        0.9, "guesses below this share of the source's mean confidence are left out", at_least=0, at_most=1
    )
    temperature: float = option(0.0, _TEMPERATURE, at_least=0, at_most=1)


class AdaMatch(SelfTrained, SourceOnly):
    """The student as its own teacher. Arguments are those of :class:`.LossSlot` and its :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(AdaMatchOptions, SourceOnly.Options):
        """Of AdaMatch."""

    about = "the student's own confident guesses, aligned to equal classes"


class MeanTeacher(SelfTrained, SourceOnly):
    """The average of the student's weights as teacher. Arguments are those of :class:`.LossSlot` and its
    :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(SelfTrainingOptions, SourceOnly.Options):
        """Of the mean teacher."""

    about = "guesses of the student's averaged weights, sharpened and aligned to equal classes"
