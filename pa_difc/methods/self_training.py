"""Self-training: a teacher pseudo-labels the target, and the student learns from strong views of the same faces.

    L += w · L_target(C(G(strong(x_t))), p̃),   p̃ ∝ p_T(x_t) · (r / q̂)^a

with p_T the teacher's class probabilities on the plain view, q̂ their running mean, r the class proportions that
pseudo-labels are aligned to, and L_target from :class:`.pseudo.PseudoLabelLoss`: cross-entropy, or DI or DIFC with the
imbalance and confusion of the teacher's predictions. Pseudo-labels are then sharpened to p̃^(1/T). Only samples whose
largest p̃ is at least ``threshold`` times the source batch's mean largest probability count.

With ``align="own"``, sharpened pseudo-labels are aligned to the teacher's own class proportions before sharpening:
p̃ ∝ p_T^(1/T) · e^b, where dual ascent finds the b for which the mean of p̃ is q̂. Sharpening alone takes mass from
rare classes, and a teacher that follows its student would compound the loss; this alignment prevents it.

AdaMatch (Berthelot et al. 2021, arXiv:2106.04732) uses the student as its own teacher, with hard pseudo-labels. Differs
from the paper: r is uniform instead of the source's, a is ½ instead of 1, the student predicts pseudo-labels in eval
mode, and source and target are not mixed in BatchNorm. Mean teacher (Tarvainen and Valpola 2017, arXiv:1703.01780) uses
an average of the student's weights. Differs from the paper: pseudo-labels are sharpened and aligned, and the loss is
cross-entropy. Distillation uses the initial classifier, or another model, as teacher.

Any of them can be added to any method: ``METHODS["mcd+mean_teacher"]``.
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
    """The loss on pseudo-labels; its student sees the strong views if the batch has any.

    Args:
        teaching: its state.
        infer: the method's inference function.
        names: names of the models that ``infer`` uses.

    Its output "target_student_logits" are the student's logits ``(N, K)`` on these views.
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
                raise UserError(f"teacher={who}: pass the model of that folder to teaching.learn_from(model)")
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
        options: Any = self.options  # of a class that merges both kinds of options
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
    """AdaMatch: the student is its own teacher. Arguments are those of :class:`.LossSlot` and its :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(AdaMatchOptions, SourceOnly.Options):
        """Options of AdaMatch."""

    about = "the student's own confident pseudo-labels, aligned to equal class proportions"


class MeanTeacher(SelfTrained, SourceOnly):
    """Mean teacher: averages of the student. Arguments are those of :class:`.LossSlot` and its :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(SelfTrainingOptions, SourceOnly.Options):
        """Options of the mean teacher."""

    about = "pseudo-labels of the student's averaged weights, sharpened and aligned to equal class proportions"
