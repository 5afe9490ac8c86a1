"""Detects where an epoch of the data ends: from a framework's epoch length, or from the samples' indices."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ..losses.protocols import EpochedLoss
from ._host import BaseHook

#: So many times a loop may begin anew within its first epoch. Early repeats beyond that are draws with replacement.
_RESTARTS = 5


class EpochHook(BaseHook):
    """Tells a loss when another epoch of the data begins; runs before every hook that calls the loss.

    Call :meth:`end_step` after the step: the batch of a step that was interrupted is forgotten at the next one.

    A training step doesn't know its epoch. pytorch-adapt's datasets give each sample's index, and an epoch of its
    combined dataset is one pass over the target in any order: the pass ends when an index repeats and nearly all have
    been seen. Without a target, it is a pass over the source. If the indices repeat earlier while no epoch's length is
    known, the loop was stopped and began anew: the next whole pass tells the length. Indices that are drawn with
    replacement, or repeat before a pass over the source ends, tell nothing; from then on the hook ignores them.

    Args:
        loss: the loss to tell.
    """

    def __init__(self, loss: EpochedLoss) -> None:
        super().__init__()
        self.loss, self.blind = loss, False
        self.passes = Passes()
        self._ended = False  # whether the step in progress has ended an epoch already, in an attempt that failed

    def tell(self, steps: int) -> None:
        """Sets the number of steps in an epoch; samples' indices are ignored from then on."""
        self.loss.set_steps_per_epoch(steps)
        self.blind = True

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if not self.blind:
            source, target = (_numbers(inputs.get(f"{domain}_sample_idx")) for domain in ("src", "target"))
            self.passes.begin_step()
            over = self.passes.over(source, target)
            unknown = self.loss.steps_per_epoch is None
            if over is None and not (unknown and self.passes.begin_anew()):
                self._give_up()
            elif over:
                self._end(unknown)
        return {}, {}

    def end_step(self) -> None:
        """Counts the step, which is finished."""
        self.passes.end_step()
        self._ended = False

    def _end(self, unknown: bool) -> None:
        if not self._ended:
            if unknown:
                self.loss.set_steps_per_epoch(self.passes.steps)
            self.loss.end_epoch()
        self._ended, self.passes.steps = True, 0

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
        self.steps = 0  #: finished steps of this pass
        self.restarts = 0  #: how often a pass began anew before it was whole
        self.resumed = False  #: whether nothing has been seen since a checkpoint was loaded
        self._early = False  # whether an index of the last batch repeats where a loop may have begun anew
        self._before: tuple[dict[str, Any], bool] | None = None  # the state before the step in progress, and resumed

    def begin_step(self) -> None:
        """Begins a step; what an interrupted one has added is forgotten."""
        if self._before is not None:
            state, resumed = self._before
            self.set_extra_state(state)
            self.resumed = resumed
        self._before = self._state(), self.resumed

    def end_step(self) -> None:
        """Counts a finished step."""
        self._before = None
        self.steps += 1

    def over(self, source: Tensor | None, target: Tensor | None) -> bool | None:
        """Whether indices ``(N,)`` and ``(M,)`` of a batch begin another epoch; None if that can't be determined."""
        if source is None and target is None:
            self._early = False
            return None
        resumed, self.resumed = self.resumed, False
        source_again = source is not None and self.source.add(source)
        again = source_again if target is None else self.target.add(target)
        if not again:
            return False
        passed = self.source if target is None else self.target
        if passed.was_whole and (source is None or self.source.repeats):
            return True
        if resumed:  # in mid-epoch: the data started over
            self.steps = 0
            return False
        self._early = not passed.was_whole and not passed.drawn_twice
        return None

    def begin_anew(self) -> bool:
        """Takes an index that repeats early for the start of another pass; False if it is none, or once too often."""
        if not self._early or self.restarts == _RESTARTS:
            return False
        self.restarts, self.steps = self.restarts + 1, 0
        return True

    def get_extra_state(self) -> dict[str, Any]:
        return self._state() if self._before is None else self._before[0]

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.steps, self.restarts = state["steps"], state.get("restarts", 0)  # 0.3.0 had none
        self.resumed, self._before = True, None
        for one, (seen, repeats, was_whole) in zip((self.source, self.target), state["passes"], strict=True):
            one.seen, one.repeats, one.was_whole = seen.clone(), repeats, was_whole

    def _state(self) -> dict[str, Any]:
        passes = [(p.seen.clone(), p.repeats, p.was_whole) for p in (self.source, self.target)]
        return {"steps": self.steps, "restarts": self.restarts, "passes": passes}


class Pass:
    """The sample indices of one domain seen since its current pass began."""

    def __init__(self) -> None:
        self.repeats = False  #: whether an index has ever repeated
        self.drawn_twice = False  #: whether the last batch had an index twice
        self.was_whole = False  #: whether less than a batch of samples was missing at the last repeat
        self.seen = torch.zeros(0, dtype=torch.bool)

    def add(self, numbers: Tensor) -> bool:
        """Adds the indices ``(N,)`` of a batch; returns whether one of them repeats."""
        missing = int(numbers.max()) + 1 - len(self.seen)
        if missing > 0:
            self.seen = torch.cat([self.seen, torch.zeros(missing, dtype=torch.bool)])
        self.drawn_twice = len(set(numbers.tolist())) < len(numbers)
        again = self.drawn_twice or bool(self.seen[numbers].any())
        if again:
            self.repeats = True
            self.was_whole = not self.drawn_twice and int((~self.seen).sum()) < len(numbers)
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
