"""Protocols that a classification loss may implement: state, epochs, a description, an evaluation pass."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


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
