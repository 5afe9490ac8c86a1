"""Detects where an epoch of the data ends: from a framework's epoch length, or from the samples' indices."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ..losses.protocols import EpochedLoss
from ._host import BaseHook


class EpochHook(BaseHook):
    """Tells a loss when another epoch of the data begins; runs before every hook that calls the loss.

    A training step doesn't know its epoch. pytorch-adapt's datasets give each sample's index, and an epoch of its
    combined dataset is one pass over the target in any order: the pass ends when an index repeats and nearly all have
    been seen. Without a target, it is a pass over the source. Indices that repeat too early (drawn with replacement),
    or before a pass over the source ends, tell nothing; from then on the hook ignores them.

    Args:
        loss: the loss to tell.
    """

    def __init__(self, loss: EpochedLoss) -> None:
        super().__init__()
        self.loss, self.blind = loss, False
        self.passes = Passes()

    def tell(self, steps: int) -> None:
        """Sets the number of steps in an epoch; samples' indices are ignored from then on."""
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
    """Progress of the passes over both domains; a module, so that pytorch-adapt's checkpoints include it."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = Pass(), Pass()
        self.steps = 0  #: steps of this pass
        self.late = False  #: whether it began in the middle of an epoch
        self.resumed = False  #: whether nothing has been seen since a checkpoint was loaded

    def over(self, source: Tensor | None, target: Tensor | None) -> bool | None:
        """Whether indices ``(N,)`` and ``(M,)`` of a batch begin another epoch; None if that can't be determined."""
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
        if begun_anew:  # resumed in mid-epoch: the data started over
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
    """The sample indices of one domain seen since its current pass began."""

    def __init__(self) -> None:
        self.repeats = False  #: whether an index has ever repeated
        self.was_whole = False  #: whether less than a batch of samples was missing at the last repeat
        self.seen = torch.zeros(0, dtype=torch.bool)

    def add(self, numbers: Tensor) -> bool:
        """Adds the indices ``(N,)`` of a batch; returns whether one of them repeats."""
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
    """Tells a loss the epoch length of a pytorch-adapt framework, and moves it to the framework's device.

    Args:
        loss: any classification loss.
        epochs: the loss's hook; it uses the framework's epoch length instead of samples' indices.
        framework: such as pytorch-adapt's ``Ignite``, which calls this before training. It doesn't move ``misc`` to its
            device.
    """
    if isinstance(loss, torch.nn.Module) and (device := getattr(framework, "device", None)) is not None:
        loss.to(device)
    state = getattr(getattr(framework, "trainer", None), "state", None)
    length = getattr(state, "epoch_length", None)
    if epochs is not None and length:
        epochs.tell(length)
