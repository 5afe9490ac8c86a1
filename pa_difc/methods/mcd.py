"""Maximum classifier discrepancy (MCD): Saito et al. 2018, arXiv:1712.02560; Sreenivas et al. 2022, eq. 7.

    A  min_{F,C1,C2}  L_cls(C1(F(x_s)), y_s) + L_cls(C2(F(x_s)), y_s)
    B  min_{C1,C2}    L_cls(C1) + L_cls(C2) − w · d(x_t)
    C  min_F          w · d(x_t), repeated n times

d(x) = mean over samples and classes of |softmax(C1(F(x))) − softmax(C2(F(x)))|, w = 1, n = 4. DIFC's paper omits the
source losses in step B; Saito's paper and the DIFC authors' code keep them, as here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytorch_adapt.adapters import MCD as HostMCD
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import (
    ChainHook,
    FeaturesHook,
    MCDLossHook,
    MultipleCLossHook,
    ParallelHook,
    RepeatHook,
)
from pytorch_adapt.layers import MCDLoss, MultipleModels
from pytorch_adapt.weighters import BaseWeighter, SumWeighter
from torch import nn

from ..util.options import option
from ._host import BaseHook, BaseWrapperHook, MultiplierHook, OptimizerHook, SummaryHook
from .composition import WeighterOfStep, joined
from .heads import ClassifierFactory, classifier
from .slot import LossSlot, mean_softmax_inference


class TwoClassifiers(LossSlot, HostMCD):
    """Base of methods with two classifiers: "C" gives a list of two logits; predictions average softmaxes (eq. 8)."""

    @dataclass(frozen=True)
    class Options(LossSlot.Options):
        """Options of a discrepancy between two classifiers."""

        weight: float = option(1.0, "w, the factor on the discrepancy", at_least=0)

    options: Options
    infer = staticmethod(mean_softmax_inference)
    classifiers = 2

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        return {"C": MultipleModels(*((make or classifier)(num_features, num_classes) for _ in range(2)))}


class MCD(TwoClassifiers):
    """pytorch-adapt's ``MCD`` with any classification loss.

    Differs from pytorch-adapt: losses within a step are summed, not averaged (pass ``hook_kwargs={"weighter":
    MeanWeighter()}`` for the mean), and predictions are the mean of the two softmaxes (eq. 8), not the sum of the
    logits. With ``MeanWeighter`` and "ce", training equals pytorch-adapt's bit for bit. Confusion costs no extra pass:
    step B computes the target logits.

    Arguments are those of :class:`LossSlot`; for ``hook_kwargs`` see :class:`MCDHook`.
    """

    @dataclass(frozen=True)
    class Options(TwoClassifiers.Options):
        """Options of MCD."""

        repeat: int = option(4, "n, repetitions of step C", at_least=1)
        reuse_features: bool = option(False, "whether step C starts from the target features of step B")

    options: Options
    about = "two classifiers detect target samples outside the source's support, and the features pull them in"
    hook_slot = "post_x"

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        # pytorch-adapt's own way to give the repetitions.
        chosen = {name: hook_kwargs[name] for name in ("repeat", "reuse_features") if hook_kwargs.get(name) is not None}
        self.options = replace(self.options, **chosen)
        own = {
            "weight": self.weight,
            "repeat": self.options.repeat,
            "reuse_features": self.options.reuse_features,
        }
        arguments = joined(MCDHook, own, hook_kwargs, {"weight": "give weight= to the method"})
        others = [name for name in self.optimizers if name != "G"]
        self.hook = MCDHook(g_opts=with_opt(["G"]), c_opts=with_opt(others), **arguments)


class MCDHook(BaseWrapperHook):
    """pytorch-adapt's ``MCDHook`` (hooks/mcd.py:46) with a weight, one weighter for all steps, and reuse of features.

    Args:
        g_opts, c_opts: names of the optimisers of F and of the classifiers.
        discrepancy_loss_fn: d on two batches of logits; None: pytorch-adapt's L1 distance of softmaxes.
        weight: factor on the discrepancy.
        weighter: combines each step's losses; its weights go by the losses' names, in any step.
        x_weighter, y_weighter, z_weighter: the same for step A, B or C alone.
        x_reducer, y_reducer, z_reducer: reduce losses to scalars.
        pre_x, post_x, pre_y, post_y, pre_z, post_z: hooks at the start and the end of steps A, B and C.
        repeat: n, repetitions of step C.
        reuse_features: whether the first repetition reuses the target features of step B, which doesn't change F. Saves
            a pass of F, and with it an update of BatchNorm's running statistics that pytorch-adapt's makes.
    """

    def __init__(
        self,
        g_opts: list[str],
        c_opts: list[str],
        discrepancy_loss_fn: nn.Module | None = None,
        weight: float = 1.0,
        weighter: BaseWeighter | None = None,
        x_weighter: BaseWeighter | None = None,
        x_reducer: BaseHook | None = None,
        y_weighter: BaseWeighter | None = None,
        y_reducer: BaseHook | None = None,
        z_weighter: BaseWeighter | None = None,
        z_reducer: BaseHook | None = None,
        pre_x: Sequence[BaseHook] = (),
        post_x: Sequence[BaseHook] = (),
        pre_y: Sequence[BaseHook] = (),
        post_y: Sequence[BaseHook] = (),
        pre_z: Sequence[BaseHook] = (),
        post_z: Sequence[BaseHook] = (),
        repeat: int = 4,
        reuse_features: bool = False,
    ) -> None:
        super().__init__()
        distance = discrepancy_loss_fn or MCDLoss()
        a = ChainHook(*pre_x, MultipleCLossHook(), *post_x)
        b = ChainHook(
            *([FeaturesHook(domains=["target"])] if reuse_features else []),
            *pre_y,
            MultipleCLossHook(detach_features=True),
            MultiplierHook(MCDLossHook(detach_features=True, minimize=False, loss_fn=distance), weight),
            *post_y,
        )
        c = ChainHook(*pre_z, MultiplierHook(MCDLossHook(loss_fn=distance), weight), *post_z)
        known = frozenset(loss for step in (a, b, c) for loss in step.loss_keys)
        weighter = WeighterOfStep(weighter or SumWeighter(), known)
        a = OptimizerHook(a, [*c_opts, *g_opts], x_weighter or weighter, x_reducer)
        b = OptimizerHook(b, c_opts, y_weighter or weighter, y_reducer)
        c = OptimizerHook(c, g_opts, z_weighter or weighter, z_reducer)
        summary = SummaryHook({"x_loss": a, "y_loss": b, "z_loss": c})
        if reuse_features:  # unlike ParallelHook, ChainHook passes on outputs
            b, repeat = ChainHook(b, c), repeat - 1
        steps = ParallelHook(a, b, *([RepeatHook(c, repeat, keep_only_last=True)] if repeat else []))
        self.hook = ChainHook(steps, summary)
