"""The classification losses that fit into every method's slot, by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..functional import Counts
from ..names import lookup
from ..schedule import Schedule
from .difc import DIFCLoss, mean_probs

__all__ = [
    "LOSSES",
    "ClassificationLoss",
    "DIFCLoss",
    "LossSpec",
    "SteppedLoss",
    "loss_state",
    "make_loss",
    "mean_probs",
]

#: ``(N, K)`` source logits and ``(N,)`` labels in, a scalar or ``(N,)`` losses out.
ClassificationLoss = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class SteppedLoss(Protocol):
    """A loss with state of its own, written once at the end of each step."""

    @property
    def needs_target_logits(self) -> bool: ...

    def update(self, target_logits: Any = None) -> None: ...


@dataclass(frozen=True)
class LossSpec:
    """A named loss: which of DIFC's ingredients it holds."""

    about: str
    margins: bool = False
    reweighting: bool = False
    confusion: bool = False


LOSSES: dict[str, LossSpec] = {
    "ce": LossSpec("cross-entropy"),
    "drw": LossSpec("deferred re-weighting alone", reweighting=True),
    "margin": LossSpec("class margins alone", margins=True),
    "di": LossSpec("margins and re-weighting: the paper's DI", margins=True, reweighting=True),
    "difc": LossSpec(
        "DI, with margins raised for confused target classes: the paper's DIFC",
        margins=True,
        reweighting=True,
        confusion=True,
    ),
}


def make_loss(
    loss: str | ClassificationLoss,
    class_counts: Counts | None = None,
    schedule: Schedule | None = None,
    **options: Any,
) -> ClassificationLoss:
    """A classification loss by name, so that a table can show which ingredient did it.

    Args:
        loss: a key of :data:`LOSSES`, or any callable, which is returned as it is.
        class_counts: ``(K,)`` source samples per class; every loss but "ce" needs them.
        schedule: when the ingredients begin; every loss but "ce" needs it.
        **options: further arguments of :class:`DIFCLoss`; those of an absent ingredient have no effect.

    Returns:
        "ce" gives unreduced losses ``(N,)``, as pytorch-adapt's own default does; the others a scalar.

    Raises:
        ValueError: the name is unknown, or counts or schedule are missing.
    """
    if not isinstance(loss, str):
        return loss
    spec = lookup("loss", loss, LOSSES)
    if loss == "ce":
        return torch.nn.CrossEntropyLoss(reduction="none")
    if class_counts is None or schedule is None:
        raise ValueError(f"loss {loss!r} needs class_counts (of the source) and a schedule")
    schedule = replace(
        schedule,
        confusion_epoch=schedule.confusion_epoch if spec.confusion else None,
        reweight_epoch=schedule.reweight_epoch if spec.reweighting else None,
    )
    if not spec.margins:
        options["max_margin"] = 0.0
    if not spec.confusion:
        options["epsilon"] = 0.0
    return DIFCLoss(class_counts, schedule, **options)


def loss_state(loss: ClassificationLoss) -> dict[str, Any]:
    """What a method's ``misc`` container has to hold so that the loss is resumed: empty for a loss without state."""
    return {"difc": loss} if isinstance(loss, SteppedLoss) else {}
