"""Where an epoch of the data ends: told by the host's frameworks, or read off the numbers of the samples."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from ..losses.protocols import EpochedLoss
from ._host import BaseHook


class EpochHook(BaseHook):
    """Tells a loss when the data has begun another epoch; goes before all that reads the loss.

    A training step is told no epoch. The host's datasets number their samples, and an epoch of its combined dataset is
    one pass over the target in any order: when a number comes again and nearly all have been seen, the pass is over.
    Without a target it is one over the source. Numbers that come again too early (drawn with replacement) or while a
    pass over the source still goes on tell nothing, and are not looked at again.

    Args:
        loss: to be told.
    """

    def __init__(self, loss: EpochedLoss) -> None:
        super().__init__()
        self.loss, self.blind = loss, False
        self.source, self.target = Pass(), Pass()
        self.steps: int | None = None  #: of this pass
        self.late = False  #: whether this pass began after the loss's first step

    def call(self, inputs: dict[str, Any], losses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if not self.blind:
            source, target = (_numbers(inputs.get(f"{domain}_sample_idx")) for domain in ("src", "target"))
            self._look(source, target)
        return {}, {}

    def _look(self, source: Tensor | None, target: Tensor | None) -> None:
        if self.steps is None:
            self.late, self.steps = getattr(self.loss, "step", 0) > 0, 0
        if source is None and target is None:
            self._give_up()
            return
        source_again = source is not None and self.source.add(source)
        again = source_again if target is None else self.target.add(target)
        whole = self.source.was_whole if target is None else self.target.was_whole
        if again and whole and (source is None or self.source.repeats):
            self._tell()
        elif again:
            self._give_up()
        self.steps += 1

    def _tell(self) -> None:
        if self.late and self.loss.steps_per_epoch is None and self.steps:  # resumed in the middle of the first epoch
            self.loss.set_steps_per_epoch(self.steps)
        else:
            self.loss.end_epoch()
        self.late, self.steps = False, 0

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


def _numbers(given: Any) -> Tensor | None:
    return None if given is None else torch.as_tensor(given).long().cpu().flatten()


class Pass:
    """The sample numbers of one domain since its last pass began."""

    def __init__(self) -> None:
        self.repeats = False  #: whether a number ever came again
        self.was_whole = False  #: whether, when one last did, less than a batch of samples had been missing
        self._seen = torch.zeros(0, dtype=torch.bool)

    def add(self, numbers: Tensor) -> bool:
        """Adds a batch ``(N,)``; whether one of its numbers comes again."""
        missing = int(numbers.max()) + 1 - len(self._seen)
        if missing > 0:
            self._seen = torch.cat([self._seen, torch.zeros(missing, dtype=torch.bool)])
        twice = len(set(numbers.tolist())) < len(numbers)
        again = twice or bool(self._seen[numbers].any())
        if again:
            self.repeats = True
            self.was_whole = not twice and int((~self._seen).sum()) < len(numbers)
            self._seen.zero_()
        self._seen[numbers] = True
        return again


def begin(loss: Any, epochs: EpochHook | None, framework: Any) -> None:
    """Tells a loss how long the epochs of a framework of the host's are, and moves it to its device.

    Args:
        loss: any classification loss.
        epochs: which looks at samples' numbers no more: an epoch is what the framework says it is.
        framework: such as the host's ``Ignite``, which calls this before training; it does not move the containers'
            ``misc`` to its device.
    """
    if isinstance(loss, torch.nn.Module) and (device := getattr(framework, "device", None)) is not None:
        loss.to(device)
    state = getattr(getattr(framework, "trainer", None), "state", None)
    length = getattr(state, "epoch_length", None)
    if epochs is not None and length:
        epochs.loss.set_steps_per_epoch(length)
        epochs.blind = True
