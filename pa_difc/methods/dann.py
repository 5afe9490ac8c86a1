"""Domain-adversarial training (DANN): Ganin et al. 2016, arXiv:1505.07818.

    min_{G,C,D}  L_cls(C(G(x_s)), y_s) + BCE(D(R_λ(G(x_s))), 0) + BCE(D(R_λ(G(x_t))), 1)

R_λ is the identity whose gradient is multiplied by −λ, and λ = weight · (2 / (1 + e^(−10p)) − 1) with p the share of
training that is done. The paper's learning rate, .01 (1 + 10p)^−.75, is left to the optimisers: methods are compared
under one schedule.
"""

from typing import Any

from pytorch_adapt.adapters import DANN as HostDANN
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import CLossHook, DANNHook, FeaturesForDomainLossHook
from pytorch_adapt.layers import GradientReversal
from pytorch_adapt.weighters import SumWeighter
from torch import Tensor, nn

from .._host import ApplyFnHook, BaseHook
from ..schedule import adversarial_ramp
from .heads import ClassifierFactory, classifier, discriminator
from .slot import LossSlot


class DANN(LossSlot, HostDANN):
    """The host's ``DANN`` with a slot for the classification loss.

    Differs from the host: losses are summed, not averaged (pass ``hook_kwargs={"weighter": MeanWeighter()}`` for the
    host's), and λ ramps up when ``ramp_steps`` is given. With the host's weighter, no ramp and "ce", it is the host's
    adapter to the bit. Confusion costs one pass of C over target features that exist already.

    Args:
        ramp_steps: the number of steps that training will take, over which λ rises from 0; None for a constant λ.
        **kwargs: see :class:`LossSlot`; ``weight`` is the largest λ.
    """

    about = "features that a domain discriminator can't tell apart"
    default_weight = 1.0

    def __init__(self, *args: Any, ramp_steps: int | None = None, **kwargs: Any) -> None:
        self.ramp_steps = ramp_steps
        super().__init__(*args, **kwargs)

    @classmethod
    def heads(cls, num_features: int, num_classes: int, make: ClassifierFactory = classifier) -> dict[str, nn.Module]:
        return {**super().heads(num_features, num_classes, make), "D": discriminator(num_features)}

    @classmethod
    def schedule_options(cls, total_steps: int) -> dict[str, Any]:
        return {"ramp_steps": total_steps}

    def method_state(self) -> dict[str, Any]:
        self.reversal = RampedGradientReversal(self.weight, self.ramp_steps)
        return {"gradient_reversal": self.reversal}

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        features = FeaturesForDomainLossHook()
        defaults = {
            "weighter": SumWeighter(),
            "f_hook": features,
            "gradient_reversal": ApplyFnHook(fn=self.reversal, apply_to=features.out_keys),
            "c_hook": CLossHook(loss_fn=self.loss),
            "post_g": [*self.confusion_writer("target_imgs_features", "C"), _AdvanceHook(self.reversal)],
        }
        opts = with_opt(list(self.optimizers.keys()))
        self.hook = DANNHook(opts=opts, **{**defaults, **hook_kwargs})


class RampedGradientReversal(GradientReversal):
    """The host's gradient reversal with a weight that follows the paper's ramp, counted in its own steps.

    Args:
        max_weight: λ at the end of the ramp.
        ramp_steps: steps until then; None for ``max_weight`` throughout.
    """

    def __init__(self, max_weight: float, ramp_steps: int | None) -> None:
        self.max_weight, self.ramp_steps, self.step = float(max_weight), ramp_steps, 0
        super().__init__(weight=self._weight())

    def advance(self) -> None:
        """Ends a step."""
        self.step += 1
        if self.ramp_steps is not None:
            self.update_weight(self._weight())

    def _weight(self) -> float:
        if self.ramp_steps is None:
            return self.max_weight
        return self.max_weight * adversarial_ramp(min(1.0, self.step / self.ramp_steps))

    def get_extra_state(self) -> dict[str, Any]:
        return {"step": self.step, "max_weight": self.max_weight, "ramp_steps": self.ramp_steps}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        now = (self.max_weight, self.ramp_steps)
        then = (state["max_weight"], state["ramp_steps"])
        if then != now:
            raise ValueError(f"this gradient reversal was made with (max_weight, ramp_steps) = {then}, not {now}")
        self.step = state["step"]


class _AdvanceHook(BaseHook):
    """Counts a step of the gradient reversal; the host's is told of none."""

    def __init__(self, reversal: RampedGradientReversal) -> None:
        super().__init__()
        self.reversal = reversal

    def call(self, inputs: dict[str, Tensor], losses: dict[str, Tensor]) -> tuple[dict, dict]:
        self.reversal.advance()
        return {}, {}

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return []
