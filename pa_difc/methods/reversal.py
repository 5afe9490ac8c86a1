"""Gradient reversal with a ramped weight, shared by the adversarial methods."""

from __future__ import annotations

from typing import Any

from pytorch_adapt.layers import GradientReversal

from ..losses.schedule import adversarial_ramp


class RampedGradientReversal(GradientReversal):
    """pytorch-adapt's gradient reversal with DANN's ramp of the weight; it counts its own steps.

    λ = max_weight · (2 / (1 + e^(−10p)) − 1) with p the share of training done (Ganin et al. 2016, arXiv:1505.07818).

    Args:
        max_weight: λ at the end of the ramp.
        ramp_steps: length of the ramp in steps; None for ``max_weight`` throughout.
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


class Ramped:
    """Mixin for adapters with a gradient reversal, ``self.reversal``, which ``misc`` keeps in checkpoints.

    Args:
        ramp_steps: steps that training will take, over which λ rises from 0; None for a constant λ.
    """

    weight: float

    def __init__(self, *args: Any, ramp_steps: int | None = None, **kwargs: Any) -> None:
        self.ramp_steps = ramp_steps
        super().__init__(*args, **kwargs)

    @classmethod
    def schedule_options(cls, total_steps: int) -> dict[str, Any]:
        return {"ramp_steps": total_steps}

    @property
    def largest_reversal(self) -> float:
        """λ at the end of the ramp."""
        return self.weight

    def method_state(self) -> dict[str, Any]:
        self.reversal = RampedGradientReversal(self.largest_reversal, self.ramp_steps)
        return {"gradient_reversal": self.reversal}

    def end_step(self) -> None:
        self.reversal.advance()
