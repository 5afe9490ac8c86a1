"""What a classification loss may have beyond a value: state that steps change, something to say, a wish to see more."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class SteppedLoss(Protocol):
    """A loss with state of its own, written once at the end of each step. Methods know losses by this protocol alone.

    It should be a :class:`torch.nn.Module`, or have ``state_dict`` and ``load_state_dict``, so that it is resumed.
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
    """A loss that changes from epoch to epoch, and need not know beforehand how many steps one has."""

    @property
    def steps_per_epoch(self) -> int | None:
        """The steps of an epoch; None while it is not known."""

    def set_steps_per_epoch(self, steps: int) -> None:
        """Takes the length of an epoch from whoever knows it, such as a loader."""

    def end_epoch(self) -> None:
        """Says that the data's epoch has ended, and that the next step begins another."""


@runtime_checkable
class DescribedLoss(Protocol):
    """A loss that tells what state it is in, for logs and records."""

    def describe(self) -> dict[str, Any]:
        """The state as plain values of strict JSON."""


@runtime_checkable
class EvaluatedLoss(Protocol):
    """A loss that at times needs a clean pass over the target's training set at the start of an epoch."""

    @property
    def needs_evaluation(self) -> bool:
        """Whether :meth:`update_from_evaluation` has to be called before the next step."""

    def update_from_evaluation(self, probs: Tensor) -> None:
        """Takes the class probabilities ``(N, K)`` of such a pass."""
