"""Minimum class confusion (MCC): Jin et al. 2020, arXiv:1912.03699.

    L += w · (Σ C − tr C) / K,   C = Pᵀ W P with rows of sum 1,   P = softmax(z_t / T)

where W weights confident samples more, by 1 + e^(−H(p)). It is a differentiable counterpart of DIFC's confusion: it
reduces class confusion in target predictions directly, where DIFC raises margins by eq. 5. It can be added to any
method: ``METHODS["mcd+mcc"]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pytorch_adapt.hooks import FeaturesAndLogitsHook
from pytorch_adapt.layers import MCCLoss

from ..util import options as option_tools
from ..util.options import option
from ._host import BaseHook
from .composition import added
from .slot import LossSlot
from .source_only import SourceOnly


@dataclass(frozen=True)
class MCCOptions(option_tools.Options):
    """Options of minimum class confusion."""

    mcc_weight: float = option(1.0, "w, the factor on the class confusion", at_least=0)
    mcc_temperature: float = option(2.5, "T, the temperature of the softmax that confusion is computed from", above=0)


class MCCHook(BaseHook):
    """The class confusion of a target batch, averaged over classifiers if there are several.

    Args:
        weight: the factor on it.
        temperature: T.
    """

    def __init__(self, weight: float, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight, self.confusion = weight, MCCLoss(T=temperature)
        self.logits = FeaturesAndLogitsHook(domains=["target"])
        self.set_in_keys(["target_imgs"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = self.logits(inputs, losses)[0]
        logits = {**inputs, **outputs}["target_imgs_features_logits"]
        each = [self.confusion(z) for z in (logits if isinstance(logits, list) else [logits])]
        return outputs, {"class_confusion_loss": self.weight * sum(each) / len(each)}

    def _loss_keys(self) -> list[str]:
        return ["class_confusion_loss"]

    def _out_keys(self) -> list[str]:
        keys: list[str] = self.logits.out_keys
        return keys


class LessConfused(LossSlot):
    """Mixin that adds MCC to a method."""

    uses_target: ClassVar[bool] = True

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        options: Any = self.options
        hook = MCCHook(options.mcc_weight, options.mcc_temperature)
        super().init_hook(added(hook, self.hook_slot, hook_kwargs))


class MCC(LessConfused, SourceOnly):
    """Source only with MCC. Arguments are those of :class:`.LossSlot` and its :attr:`Options`."""

    @dataclass(frozen=True)
    class Options(MCCOptions, SourceOnly.Options):
        """Options of MCC."""

    about = "little confusion between classes in target predictions"
