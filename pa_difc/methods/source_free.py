"""Source-free adaptation: from a pretrained classifier and unlabelled target faces only.

    min_G  w · L_target(C(G(strong(x_t))), p̃) + m · [mean_i H(p_i) − H(mean_i p_i)]

The first term is that of :mod:`.self_training`, with the initial classifier as teacher (distillation). The second is
information maximisation (SHOT: Liang et al. 2020, arXiv:2002.08546, eqs. 3 and 4), which favours confident predictions
spread over all classes. C is frozen, as in SHOT.

Differs from SHOT: no pseudo-labels from feature clusters, no bottleneck with weight normalisation, and BatchNorm
updates its statistics as in any training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_adapt.adapters import Classifier
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ChainHook
from pytorch_adapt.weighters import BaseWeighter, SumWeighter
from torch import Tensor

from ..functional import at_least_float32
from ..util.options import option
from ._host import BaseHook, BaseWrapperHook, OptimizerHook, SummaryHook
from .composition import joined
from .self_training import SelfTrained, SelfTrainingHook
from .slot import LossSlot
from .teaching_options import TEACHERS, WHO, SelfTrainingOptions


class SourceFree(SelfTrained, Classifier):
    """Self-training and information maximisation of the extractor; no source images are loaded.

    Without source labels the classification loss is unused, so a grid pairs this method with "ce" only. Arguments are
    those of :class:`.LossSlot` and its :attr:`Options`; for ``hook_kwargs`` see :class:`SourceFreeHook`.
    """

    @dataclass(frozen=True)
    class Options(SelfTrainingOptions, LossSlot.Options):
        """Options of source-free adaptation."""

        teacher: str = option("start", WHO, choices=TEACHERS, folders=True)
        align: str = option(
            "own",
            "class proportions that pseudo-labels are aligned to: own (the teacher's), equal or none",
            choices=("own", "equal", "none"),
        )
        threshold: float = option(
            0.0, "pseudo-labels whose class has less than this probability are left out", at_least=0, at_most=1
        )
        information: float = option(0.0, "m, factor on information maximisation", at_least=0)

    about = "trains a pretrained classifier's extractor on the target alone: distillation, information maximisation"
    uses_source = False
    needs_pretrained = True

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        options: Any = self.options
        own = [SelfTrainingHook(self.teaching, *self.student()), InformationHook(options.information)]
        self.models["C"].requires_grad_(False)  # so its optimiser leaves it alone, weight decay included
        self.hook = SourceFreeHook(
            with_opt(list(self.optimizers)), **joined(SourceFreeHook, {"post": own}, hook_kwargs)
        )


class SourceFreeHook(BaseWrapperHook):
    """One step on the target.

    Args:
        opts: names of the optimisers to step.
        weighter: combines the losses.
        reducer: reduces losses to scalars.
        pre, post: hooks, the method's own among the latter.
    """

    def __init__(
        self,
        opts: list[str],
        weighter: BaseWeighter | None = None,
        reducer: BaseHook | None = None,
        pre: Sequence[BaseHook] = (),
        post: Sequence[BaseHook] = (),
    ) -> None:
        super().__init__()
        step = OptimizerHook(ChainHook(*pre, *post), opts, weighter or SumWeighter(), reducer)
        self.hook = ChainHook(step, SummaryHook({"total_loss": step}))


class InformationHook(BaseHook):
    """Minus the mutual information between the student's inputs and its predicted classes.

    Args:
        weight: the factor on it.
    """

    def __init__(self, weight: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = weight
        self.set_in_keys(["target_student_logits"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"information_loss": -self.weight * information(inputs["target_student_logits"])}

    def _loss_keys(self) -> list[str]:
        return ["information_loss"]

    def _out_keys(self) -> list[str]:
        return []


def information(logits: Tensor) -> Tensor:
    """Mutual information between samples and predicted classes, H(mean p) − mean H(p), in nats, a scalar.

    Args:
        logits: ``(N, K)``.
    """
    log_probs = at_least_float32(logits).log_softmax(dim=1)
    probs = log_probs.exp()
    mean = probs.mean(dim=0)
    found: Tensor = torch.special.entr(mean).sum() + (probs * log_probs).sum(dim=1).mean()
    return found
