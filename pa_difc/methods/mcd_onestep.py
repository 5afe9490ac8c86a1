"""MCD in one optimisation step, by gradient reversal: about a third of the cost of :mod:`.mcd`.

    min_{F,C1,C2}  L_cls(C1(F(x_s)), y_s) + L_cls(C2(F(x_s)), y_s) − w · d(C(R(F(x_t))))

R is the identity with its gradient reversed (Ganin and Lempitsky 2015, arXiv:1409.7495), so that the classifiers raise
the discrepancy d while the features lower it. w = 1.

Differs from Saito et al. 2018 (arXiv:1712.02560): one step instead of six, in which features and classifiers are
updated together; the features get no n steps of their own. The cost is about three passes instead of seventeen. Its
accuracy differs from MCD's; the results' tables list both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ChainHook, FeaturesHook, MultipleCLossHook
from pytorch_adapt.layers import GradientReversal, MCDLoss
from pytorch_adapt.weighters import BaseWeighter, SumWeighter
from torch import nn

from ._host import BaseHook, BaseWrapperHook, MultiplierHook, OptimizerHook, SummaryHook
from .composition import joined
from .mcd import TwoClassifiers

_LOGITS = "target_imgs_features_reversed_logits"


class MCDOneStep(TwoClassifiers):
    """:class:`.mcd.MCD` with its three steps merged into one.

    Arguments are those of :class:`.slot.LossSlot`. Confusion costs no extra pass: the step computes the target's
    logits.
    """

    about = "as mcd, in one step with reversed gradients"

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        own, instead = {"weight": self.weight}, {"weight": "give weight= to the method"}
        self.hook = MCDOneStepHook(with_opt(list(self.optimizers)), **joined(MCDOneStepHook, own, hook_kwargs, instead))


class MCDOneStepHook(BaseWrapperHook):
    """The single optimisation step.

    Args:
        opts: names of the optimisers of F and of the classifiers.
        discrepancy_loss_fn: d on two batches of logits; None: pytorch-adapt's L1 distance of softmaxes.
        weight: factor on the discrepancy.
        weighter: combines the losses.
        reducer: reduces losses to scalars.
        pre, post: hooks before and after the method's losses.
    """

    def __init__(
        self,
        opts: list[str],
        discrepancy_loss_fn: nn.Module | None = None,
        weight: float = 1.0,
        weighter: BaseWeighter | None = None,
        reducer: BaseHook | None = None,
        pre: Sequence[BaseHook] = (),
        post: Sequence[BaseHook] = (),
    ) -> None:
        super().__init__()
        discrepancy = MultiplierHook(ReversedDiscrepancyHook(discrepancy_loss_fn), weight)
        losses = ChainHook(*pre, MultipleCLossHook(), discrepancy, *post)
        step = OptimizerHook(losses, opts, weighter or SumWeighter(), reducer)
        self.hook = ChainHook(step, SummaryHook({"total_loss": step}))


class ReversedDiscrepancyHook(BaseHook):
    """−d on target logits, behind a gradient reversal.

    Args:
        discrepancy_loss_fn: d on two batches of logits; None: pytorch-adapt's L1 distance of softmaxes.
    """

    model_name = "C"  # like pytorch-adapt's hooks, names the model whose outputs it gives

    def __init__(self, discrepancy_loss_fn: nn.Module | None = None) -> None:
        super().__init__()
        self.features = FeaturesHook(domains=["target"])
        self.reversal = GradientReversal()
        self.distance = discrepancy_loss_fn or MCDLoss()

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = self.features(inputs, losses)[0]
        features = {**inputs, **outputs}["target_imgs_features"]
        logits = inputs["C"](self.reversal(features))
        return {**outputs, _LOGITS: logits}, {"discrepancy_loss": -self.distance(*logits)}

    def _loss_keys(self) -> list[str]:
        return ["discrepancy_loss"]

    def _out_keys(self) -> list[str]:
        return [*self.features.out_keys, _LOGITS]
