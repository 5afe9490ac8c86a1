"""Maximum classifier discrepancy (MCD): Saito et al. 2018, arXiv:1712.02560; Sreenivas et al. 2022, eq. 7.

    A  min_{F,C1,C2}  L_cls(C1(F(x_s)), y_s) + L_cls(C2(F(x_s)), y_s)
    B  min_{C1,C2}    L_cls(C1) + L_cls(C2) − w · d(x_t)
    C  min_F          w · d(x_t), repeated n times

d(x) = mean over samples and classes of |softmax(C1(F(x))) − softmax(C2(F(x)))|, w = 1, n = 4. DIFC's paper writes
step B without the source losses; Saito's paper and its own authors' code keep them, and so does this.
"""

from dataclasses import dataclass
from typing import Any

from pytorch_adapt.adapters import MCD as HostMCD
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ChainHook, FeaturesHook, MCDLossHook, MultipleCLossHook, ParallelHook, RepeatHook
from pytorch_adapt.layers import MultipleModels
from pytorch_adapt.weighters import BaseWeighter, SumWeighter
from torch import nn

from ..losses.spec import ClassificationLoss
from ..util.options import option
from ._host import BaseHook, BaseWrapperHook, OptimizerHook, SummaryHook
from .heads import ClassifierFactory, classifier
from .slot import LossSlot, mean_softmax_inference


class TwoClassifiers(LossSlot, HostMCD):
    """What methods with two classifiers share: "C" gives a list of two logits, predictions are the mean (eq. 8)."""

    @dataclass(frozen=True)
    class Options(LossSlot.Options):
        """Of a discrepancy between two classifiers."""

        weight: float = option(1.0, "w, the factor on the discrepancy", at_least=0)

    options: Options
    infer = staticmethod(mean_softmax_inference)

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory = classifier, options: Any = None
    ) -> dict[str, nn.Module]:
        return {"C": MultipleModels(*(make(num_features, num_classes) for _ in range(2)))}


class MCD(TwoClassifiers):
    """The host's ``MCD`` with a slot for the classification loss.

    Differs from the host: losses within a step are summed, not averaged (pass ``hook_kwargs={"weighter":
    MeanWeighter}`` for the host's), and predictions are the mean of the two softmaxes (eq. 8), not the sum of the
    logits. With the host's weighter and "ce" training is the host's to the bit. Confusion costs no pass at all: step B
    has computed the target logits.

    Arguments are those of :class:`LossSlot`; ``hook_kwargs`` takes ``weighter`` and ``discrepancy_loss_fn``.
    """

    @dataclass(frozen=True)
    class Options(TwoClassifiers.Options):
        """Of MCD."""

        repeat: int = option(4, "n, repetitions of step C", at_least=1)
        reuse_features: bool = option(False, "whether step C begins with the target features of step B")

    options: Options
    about = "two classifiers find target samples outside the source's support, features move in"

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        defaults = {
            "g_opts": with_opt(["G"]),
            "c_opts": with_opt(["C"]),
            "loss_fn": self.loss,
            "weight": self.weight,
            "repeat": self.options.repeat,
            "reuse_features": self.options.reuse_features,
            "post": self.confusion_writer("target_imgs_features_detached_logits"),
        }
        self.hook = MCDHook(**{**defaults, **hook_kwargs})


class MCDHook(BaseWrapperHook):
    """The host's ``MCDHook`` (hooks/mcd.py:46), which can't be given a classification loss, assembled anew.

    Args:
        g_opts, c_opts: names of the optimisers of F and of the classifiers.
        loss_fn: the classification loss, used in steps A and B.
        discrepancy_loss_fn: d; the host's L1 by default.
        weight: of the discrepancy.
        weighter: the class that adds up a step's losses.
        repeat: n, repetitions of step C.
        reuse_features: whether the first repetition takes the target features of step B, which has not moved F. One
            pass of F less; the host makes it, and with it one more update of BatchNorm's running statistics.
        post: hooks that follow the three steps.
    """

    def __init__(
        self,
        g_opts: list[str],
        c_opts: list[str],
        loss_fn: ClassificationLoss,
        discrepancy_loss_fn: nn.Module | None = None,
        weight: float = 1.0,
        weighter: type[BaseWeighter] = SumWeighter,
        repeat: int = 4,
        reuse_features: bool = False,
        post: list[BaseHook] | None = None,
    ) -> None:
        super().__init__()
        weighted = {"weights": {"discrepancy_loss": weight}}
        a = MultipleCLossHook(loss_fn=loss_fn)
        b = ChainHook(
            *([FeaturesHook(domains=["target"])] if reuse_features else []),
            MultipleCLossHook(loss_fn=loss_fn, detach_features=True),
            MCDLossHook(detach_features=True, minimize=False, loss_fn=discrepancy_loss_fn),
        )
        a = OptimizerHook(a, [*c_opts, *g_opts], weighter())
        b = OptimizerHook(b, c_opts, weighter(**weighted))
        c = OptimizerHook(MCDLossHook(loss_fn=discrepancy_loss_fn), g_opts, weighter(**weighted))
        summary = SummaryHook({"x_loss": a, "y_loss": b, "z_loss": c})
        if reuse_features:  # a chain hands on what a hook has computed, parallel hooks don't
            b, repeat = ChainHook(b, c), repeat - 1
        steps = ParallelHook(a, b, *([RepeatHook(c, repeat, keep_only_last=True)] if repeat else []))
        self.hook = ChainHook(steps, *(post or []), summary)
