"""Methods of one optimisation step: the classification loss plus one more loss on features and logits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

from pytorch_adapt.adapters import Classifier
from pytorch_adapt.adapters.utils import with_opt
from pytorch_adapt.hooks import ChainHook, ClassifierHook, FeaturesAndLogitsHook
from pytorch_adapt.weighters import SumWeighter
from torch import Tensor

from ..util.options import option
from ._host import BaseHook
from .composition import joined
from .hooks import EndOfStepHook
from .slot import LossSlot


class Step(NamedTuple):
    """Features and logits of a batch, from which a method computes its own loss."""

    src_features: Tensor  #: ``(N, D)``
    src_logits: Tensor  #: ``(N, K)``
    src_labels: Tensor  #: ``(N,)``
    target_features: Tensor  #: ``(M, D)``; None if the penalty doesn't use the target
    target_logits: Tensor  #: ``(M, K)``, likewise


def labelled(step: Step) -> Step:
    """The step without source samples whose label is not a class, such as the loss's ``ignore_index``."""
    known = (step.src_labels >= 0) & (step.src_labels < step.src_logits.shape[1])
    if known.all():
        return step
    source = (step.src_features[known], step.src_logits[known], step.src_labels[known])
    return Step(*source, step.target_features, step.target_logits)


class PenaltyMethod(LossSlot, Classifier):
    """A method whose step is  min  L_cls + weight · penalty,  both over all of its models.

    A subclass implements the penalty. Losses are summed; a user's weighter gets the penalty with ``weight`` already
    applied. Confusion costs no extra pass: it uses the penalty's target logits.

    Arguments are those of :class:`LossSlot`; ``weight`` multiplies the penalty.
    """

    @dataclass(frozen=True)
    class Options(LossSlot.Options):
        """The factor on the penalty; a subclass adds its own options and may change the default."""

        weight: float = option(1.0, "factor on the method's own loss", at_least=0)

    loss_name: ClassVar[str]  #: the penalty's name in logs
    reads_labels: ClassVar[bool] = False  #: whether it uses source labels; then ignored ones are left out

    @property
    def loss_weight(self) -> float:
        """The factor on the penalty."""
        return self.weight

    @abstractmethod
    def penalty(self, step: Step) -> Tensor:
        """The method's own loss, a scalar, before ``weight``."""

    def _penalty(self, step: Step) -> Tensor:
        if self.reads_labels:
            step = labelled(step._replace(src_labels=step.src_labels.long()))
        return self.penalty(step) if len(step.src_labels) else step.src_logits.sum() * 0.0

    def first_hooks(self) -> list[BaseHook]:
        """Hooks before the classification loss, for a method whose features are not G's output."""
        return []

    def last_hooks(self) -> list[BaseHook]:
        """Hooks after the penalty, for a method whose state depends on more than features and logits."""
        return []

    def end_step(self) -> None:
        """Called at the end of each step, for state that counts steps."""

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        own = {
            "weighter": SumWeighter(),
            "pre": self.first_hooks(),
            "post": [
                PenaltyHook(self.loss_name, self._penalty, self.loss_weight, self.uses_target),
                *self.last_hooks(),
            ],
        }
        opts = with_opt(list(self.optimizers.keys()))
        step = ClassifierHook(opts=opts, **joined(ClassifierHook, own, hook_kwargs))
        self.hook = ChainHook(step, EndOfStepHook(self.end_step))


class PenaltyHook(BaseHook):
    """Computes one loss from a batch's features and logits, which are computed if the context lacks them.

    Args:
        name: the loss's name.
        penalty: maps a :class:`Step` to a scalar.
        weight: the factor on it.
        uses_target: whether it uses the target, whose features and logits are None otherwise.
    """

    def __init__(
        self, name: str, penalty: Callable[[Step], Tensor], weight: float = 1.0, uses_target: bool = True
    ) -> None:
        super().__init__()
        self.name, self.penalty, self.weight = name, penalty, weight
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
        return outputs, {self.name: self.weight * self.penalty(step)}

    def _loss_keys(self) -> list[str]:
        return [self.name]

    def _out_keys(self) -> list[str]:
        return cast(list[str], self.features.out_keys)
