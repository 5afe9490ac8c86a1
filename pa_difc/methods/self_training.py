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
from ..util.errors import UserError
from ._host import BaseHook
from .composition import added
from .hooks import eval_mode
from .slot import LossSlot
from .source_only import SourceOnly
from .teaching import Teaching
from .teaching_options import TEACHERS, AdaMatchOptions, SelfTrainingOptions


class SelfTrainingHook(BaseHook):
    """The loss of pseudo-labels; it is the only one that sees strong views, where the batch has some.

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


class AdaMatch(SelfTrained, SourceOnly):
    """The student as its own teacher. Arguments are those of :class:`.LossSlot` and its :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(AdaMatchOptions, SourceOnly.Options):
        """Of AdaMatch."""

    about = "the student's own confident pseudo-labels, aligned to equal class proportions"


class MeanTeacher(SelfTrained, SourceOnly):
    """The average of the student's weights as teacher. Arguments are those of :class:`.LossSlot` and its
    :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(SelfTrainingOptions, SourceOnly.Options):
        """Of the mean teacher."""

    about = "pseudo-labels of the student's averaged weights, sharpened and aligned to equal class proportions"
