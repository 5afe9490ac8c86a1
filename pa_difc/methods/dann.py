"""Domain-adversarial training (DANN): Ganin et al. 2016, arXiv:1505.07818.

    min_{G,C,D}  L_cls(C(G(x_s)), y_s) + BCE(D(R_λ(G(x_s))), 0) + BCE(D(R_λ(G(x_t))), 1)

R_λ is the identity with its gradient multiplied by −λ, and λ = weight · (2 / (1 + e^(−10p)) − 1) with p the share of
training done. Differs from the paper: no learning-rate schedule of its own, .01 (1 + 10p)^−.75, so that methods are
compared under one schedule.
"""

from dataclasses import dataclass
from typing import Any

from pytorch_adapt.adapters import DANN as HostDANN
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ChainHook, DANNHook, FeaturesForDomainLossHook
from pytorch_adapt.weighters import SumWeighter
from torch import nn

from ..util.options import option
from ._host import ApplyFnHook
from .composition import joined
from .heads import ClassifierFactory, discriminator
from .hooks import EndOfStepHook
from .reversal import Ramped
from .slot import LossSlot


class DANN(Ramped, LossSlot, HostDANN):
    """pytorch-adapt's ``DANN`` with any classification loss.

    Differs from pytorch-adapt: losses are summed, not averaged (pass ``hook_kwargs={"weighter": MeanWeighter()}`` for
    the mean), and λ ramps up if ``ramp_steps`` is given. With ``MeanWeighter``, no ramp and "ce", results equal
    pytorch-adapt's bit for bit. Confusion costs one pass of C over target features that the step has already.

    Args:
        ramp_steps: steps that training will take, over which λ rises from 0; None for a constant λ.
        **kwargs: see :class:`LossSlot`.
    """

    @dataclass(frozen=True)
    class Options(LossSlot.Options):
        """Options of DANN."""

        weight: float = option(1.0, "largest λ of the gradient reversal", at_least=0)

    options: Options
    about = "features that a domain discriminator can't tell apart"
    hook_slot = "post_g"

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        return {
            **super().heads(num_features, num_classes, make=make, options=options),
            "D": discriminator(num_features),
        }

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        use_logits = hook_kwargs.get("use_logits", False)
        features = hook_kwargs.get("f_hook") or FeaturesForDomainLossHook(use_logits=use_logits)
        own = {
            "weighter": SumWeighter(),
            "f_hook": features,
            "gradient_reversal": ApplyFnHook(fn=self.reversal, apply_to=features.out_keys),
        }
        instead = dict.fromkeys(("gradient_reversal", "gradient_reversal_weight"), "give weight= and ramp_steps=")
        opts = with_opt(list(self.optimizers.keys()))
        step = DANNHook(opts=opts, **{**joined(DANNHook, own, hook_kwargs, instead), "f_hook": features})
        self.hook = ChainHook(step, EndOfStepHook(self.end_step))
