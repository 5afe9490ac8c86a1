"""Methods of one optimisation step: the classification loss and one more loss on features and logits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from pytorch_adapt.adapters import Classifier
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ClassifierHook, FeaturesAndLogitsHook
from pytorch_adapt.weighters import SumWeighter
from torch import Tensor

from ..util.options import option
from ._host import BaseHook
from .slot import LossSlot


class Step(NamedTuple):
    """What a batch has come to when a method's own loss is computed."""

    src_features: Tensor  #: ``(N, D)``
    src_logits: Tensor  #: ``(N, K)``
    src_labels: Tensor  #: ``(N,)``
    target_features: Tensor  #: ``(M, D)``; None where the penalty does not use the target
    target_logits: Tensor  #: ``(M, K)``, likewise


#: Where confusion begins when a step does not touch the target: one pass of G and C in eval mode.
SOURCE_ONLY_START = ("target_imgs", "G", "C")


class PenaltyMethod(LossSlot, Classifier):
    """A method whose step is  min  L_cls + weight · penalty,  both over all of its models.

    A subclass says what the penalty is. Losses are summed. Confusion costs nothing: the penalty's target logits are
    read, not made.

    Arguments are those of :class:`LossSlot`; ``weight`` multiplies the penalty.
    """

    @dataclass(frozen=True)
    class Options(LossSlot.Options):
        """The factor on the penalty; a subclass adds its own options, and its own default."""

        weight: float = option(1.0, "factor on the method's own loss", at_least=0)

    loss_name: ClassVar[str]  #: the penalty's name in logs

    @property
    def loss_weight(self) -> float:
        """What the penalty is multiplied by."""
        return self.weight

    @abstractmethod
    def penalty(self, step: Step) -> Tensor:
        """The method's own loss, a scalar, before ``weight``."""

    def end_step(self) -> None:
        """Called after each step's forward passes; for state that counts steps."""

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        defaults = {
            "weighter": SumWeighter(weights={self.loss_name: self.loss_weight}),
            "loss_fn": self.loss,
            "post": [
                PenaltyHook(self.loss_name, self.penalty, self.uses_target),
                *self.confusion_writer(*(["target_imgs_features_logits"] if self.uses_target else SOURCE_ONLY_START)),
                EndOfStepHook(self.end_step),
            ],
        }
        opts = with_opt(list(self.optimizers.keys()))
        self.hook = ClassifierHook(opts=opts, **{**defaults, **hook_kwargs})


class PenaltyHook(BaseHook):
    """Computes one loss from a batch's features and logits; what is not there yet is computed.

    Args:
        name: of the loss.
        penalty: from a :class:`Step` to a scalar.
        uses_target: whether it looks at the target, whose features and logits are None otherwise.
    """

    def __init__(self, name: str, penalty: Callable[[Step], Tensor], uses_target: bool = True) -> None:
        super().__init__()
        self.name, self.penalty = name, penalty
        self.features = FeaturesAndLogitsHook(domains=["src", "target"] if uses_target else ["src"])

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = self.features(inputs, losses)[0]
        found = {**inputs, **outputs}
        step = Step(
            found["src_imgs_features"],
            found["src_imgs_features_logits"],
            found["src_labels"],
            cast(Tensor, found.get("target_imgs_features")),
            cast(Tensor, found.get("target_imgs_features_logits")),
        )
        return outputs, {self.name: self.penalty(step)}

    def _loss_keys(self) -> list[str]:
        return [self.name]

    def _out_keys(self) -> list[str]:
        return cast(list[str], self.features.out_keys)


class EndOfStepHook(BaseHook):
    """Calls a function; the host tells modules of no step.

    Args:
        function: without arguments.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self.function = function

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self.function()
        return {}, {}

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return []
