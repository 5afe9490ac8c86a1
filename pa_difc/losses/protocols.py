"""Protocols that a classification loss may implement: state, epochs, a description, an evaluation pass."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ..util.errors import UserError


@runtime_checkable
class SteppedLoss(Protocol):
    """A loss whose state is updated once, at the end of each step; methods rely on this protocol alone.

    To be resumed from checkpoints it must be a :class:`torch.nn.Module` or have ``state_dict`` and ``load_state_dict``.
    """

    @property
    def needs_target_logits(self) -> bool:
        """Whether :meth:`update` needs target logits in this step."""

    def update(self, target_logits: Any = None) -> None:
        """Ends a step.

        Args:
            target_logits: ``(N, K)``, or one such tensor per classifier; None where they are not needed.
        """


@runtime_checkable
class EpochedLoss(Protocol):
    """A loss that changes from epoch to epoch and may not know beforehand how many steps an epoch has."""

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps in an epoch; None while unknown."""

    def set_steps_per_epoch(self, steps: int) -> None:
        """Sets the number of steps in an epoch, such as the loader's length."""

    def end_epoch(self) -> None:
        """Marks the end of a pass over the data; the next step begins another epoch."""


@runtime_checkable
class DescribedLoss(Protocol):
    """A loss that describes its state for logs and records."""

    def describe(self) -> dict[str, Any]:
        """The state as plain values of strict JSON."""


@runtime_checkable
class EvaluatedLoss(Protocol):
    """A loss that may need an evaluation pass over the target training set at the start of an epoch."""

    @property
    def needs_evaluation(self) -> bool:
        """Whether :meth:`update_from_evaluation` must be called before the next step."""

    def update_from_evaluation(self, probs: Tensor) -> None:
        """Updates the loss from the class probabilities ``(N, K)`` of such a pass."""


#: The parts of each protocol that has several. One of the first two belongs to the protocol alone and tells that it is
#: meant; a loss may have ``steps_per_epoch`` for itself.
_PARTS = (
    ("update()", "needs_target_logits"),
    ("set_steps_per_epoch()", "end_epoch()", "steps_per_epoch"),
    ("update_from_evaluation()", "needs_evaluation"),
)


def require_whole_protocols(loss: object, name: str) -> None:
    """Refuses a loss with a part of a protocol only, which would never be called.

    Args:
        loss: the loss.
        name: its name, for errors.

    Raises:
        UserError: a part is missing, or should be a method and is none.
    """
    for parts in _PARTS:
        has = [part for part in parts if _has(loss, part)]
        if set(has) & set(parts[:2]) and (lacking := [part for part in parts if part not in has]):
            needed = " and ".join(lacking)
            raise UserError(
                f"loss {name!r} has {' and '.join(has)} but no {needed}, so it would never be called: add it"
            )


def _has(loss: object, part: str) -> bool:
    name = part.removesuffix("()")
    return callable(getattr(loss, name, None)) if part.endswith("()") else hasattr(loss, name)
