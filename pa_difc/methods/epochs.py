"""Where an epoch of the data ends: told by whoever knows it, or read off the numbers of the samples."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ..losses.protocols import EpochedLoss
from ._host import BaseHook


class EpochHook(BaseHook):
    """Tells a loss when the data has begun another epoch; goes before all that reads the loss.

    A training step is told no epoch. pytorch-adapt's datasets number their samples, and an epoch of its combined
    dataset is one pass over the target in any order: when a number comes again and nearly all have been seen, the pass
    is over. Without a target it is one over the source. Numbers that come again too early (drawn with replacement) or
    while a pass over the source is not over tell nothing, and are not looked at again.

    Args:
        loss: to be told.
    """

    def __init__(self, loss: EpochedLoss) -> None:
        super().__init__()
        self.loss, self.blind = loss, False
        self.passes = Passes()

    def tell(self, steps: int) -> None:
        """An epoch has so many steps, says who knows it; samples' numbers are looked at no more."""
        self.loss.set_steps_per_epoch(steps)
        self.blind = True

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if not self.blind:
            source, target = (_numbers(inputs.get(f"{domain}_sample_idx")) for domain in ("src", "target"))
            over = self.passes.over(source, target)
            if over is None:
                self._give_up()
            elif over:
                self._end()
            self.passes.steps += 1
        return {}, {}

    def _end(self) -> None:
        if self.passes.late and self.loss.steps_per_epoch is None:
            self.loss.set_steps_per_epoch(self.passes.steps)
        else:
            self.loss.end_epoch()
        self.passes.late, self.passes.steps = False, 0

    def _give_up(self) -> None:
        self.blind = True
        if self.loss.steps_per_epoch is None:
            warnings.warn(
                "the batches don't show where an epoch ends: give Schedule(steps_per_epoch=len(loader)), or call the "
                "loss's end_epoch() after each epoch",
                stacklevel=2,
            )

    def _loss_keys(self) -> list[str]:
        return []

    def _out_keys(self) -> list[str]:
        return []


class Passes(nn.Module):
    """How far the passes over both domains have come; a module, so that pytorch-adapt's checkpoints hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = Pass(), Pass()
        self.steps = 0  #: of this pass
        self.late = False  #: whether it began in the middle of an epoch
        self.resumed = False  #: whether nothing has been seen since a checkpoint was loaded

    def over(self, source: Tensor | None, target: Tensor | None) -> bool | None:
        """Whether a batch ``(N,)`` and ``(M,)`` begins another epoch; None if that can't be told."""
        if source is None and target is None:
            return None
        begun_anew, self.resumed = self.resumed, False
        source_again = source is not None and self.source.add(source)
        again = source_again if target is None else self.target.add(target)
        if not again:
            return False
        whole = self.source.was_whole if target is None else self.target.was_whole
        if whole and (source is None or self.source.repeats):
            return True
        if begun_anew:  # the data began from the start again, where the run had stopped in the middle of an epoch
            self.late, self.steps = True, 0
            return False
        return None

    def get_extra_state(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "late": self.late,
            "passes": [(p.seen, p.repeats, p.was_whole) for p in (self.source, self.target)],
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.steps, self.late, self.resumed = state["steps"], state["late"], True
        for one, (seen, repeats, was_whole) in zip((self.source, self.target), state["passes"], strict=True):
            one.seen, one.repeats, one.was_whole = seen.clone(), repeats, was_whole


class Pass:
    """The sample numbers of one domain since its last pass began."""

    def __init__(self) -> None:
        self.repeats = False  #: whether a number ever came again
        self.was_whole = False  #: whether, when one last did, less than a batch of samples had been missing
        self.seen = torch.zeros(0, dtype=torch.bool)

    def add(self, numbers: Tensor) -> bool:
        """Adds a batch ``(N,)``; whether one of its numbers comes again."""
        missing = int(numbers.max()) + 1 - len(self.seen)
        if missing > 0:
            self.seen = torch.cat([self.seen, torch.zeros(missing, dtype=torch.bool)])
        twice = len(set(numbers.tolist())) < len(numbers)
        again = twice or bool(self.seen[numbers].any())
        if again:
            self.repeats = True
            self.was_whole = not twice and int((~self.seen).sum()) < len(numbers)
            self.seen = torch.zeros_like(self.seen)
        self.seen[numbers] = True
        return again


def _numbers(given: Any) -> Tensor | None:
    return None if given is None else torch.as_tensor(given).long().cpu().flatten()


def begin(loss: Any, epochs: EpochHook | None, framework: Any) -> None:
    """Tells a loss how long the epochs of a framework of pytorch-adapt's are, and moves it to its device.

    Args:
        loss: any classification loss.
        epochs: which looks at samples' numbers no more: an epoch is what the framework says it is.
        framework: such as pytorch-adapt's ``Ignite``, which calls this before training; it does not move the
            containers' ``misc`` to its device.
    """
    if isinstance(loss, torch.nn.Module) and (device := getattr(framework, "device", None)) is not None:
        loss.to(device)
    state = getattr(getattr(framework, "trainer", None), "state", None)
    length = getattr(state, "epoch_length", None)
    if epochs is not None and length:
        epochs.tell(length)
