"""Tracks a loss's step, epoch and phase; an epoch's length is given, set later, or learnt from the first epoch."""

from __future__ import annotations

import warnings
from dataclasses import replace

from .schedule import Phase, Schedule

#: So many losses without a step, or steps without the end of an epoch, give a warning.
_CALLS, _STEPS = 100, 2000


class Clock:
    """Counts steps and maps them to epochs and phases; until an epoch's length is known, every step is in epoch 0.

    Args:
        schedule: the user's schedule; the attribute :attr:`schedule` also has the epoch's length once that is known.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = self._given = schedule
        self.step = 0  #: optimisation steps done
        self._ended: int | None = 0  # the step at which the last pass ended; None after loading a checkpoint
        self._warned = False
        self._calls = 0  # of the loss in training, since the last step
        self._trains = False  # whether there was any since the last checkpoint was loaded
        self._counted = 0  # steps since then
        self._early = False  # whether the first of these came before the first loss

    def called(self) -> None:
        """Notes that a loss to train with was computed; warns if nobody counts steps, or counted one before."""
        # Several steps before the first loss are no training loop, but skipped on purpose; one alone may be, too.
        self._early = self._early or (self._counted == 1 and not self._trains)
        if self._early and self._counted == 2:
            self._warn(
                "update() was called before the first loss, so every epoch would begin one step early: call it after "
                "the loss in each training step"
            )
        self._calls += 1
        self._trains = True
        if self._calls > _CALLS and self._waits:
            self._warn(
                f"{_CALLS} losses were computed and no step was counted, so neither class weights nor confusion begin: "
                "call update() once after each training step (in pytorch-adapt: attach(), or a ConfusionHook)"
            )

    def count(self) -> None:
        """Counts a step; warns if no loss was computed since the last one, or if epochs never end."""
        if self._trains and not self._calls:
            self._warn(
                f"update() was called twice in a row at step {self.step}, and each call counts as a step, so phases "
                "begin early: call it once after each training step"
            )
        self.step += 1
        self._counted += 1
        self._calls = 0
        if self.step > _STEPS and self.schedule.steps_per_epoch is None and self._waits:
            self._warn(
                f"{_STEPS} steps without the end of an epoch, so neither class weights nor confusion begin: "
                "call set_steps_per_epoch(len(loader)) before training, or end_epoch() after each epoch"
            )

    @property
    def _waits(self) -> bool:
        """Whether something is to begin in a later epoch."""
        begin = (self.schedule.reweight_epoch, self.schedule.confusion_epoch)
        return any(epoch is not None and epoch > self.epoch for epoch in begin)

    @property
    def epoch(self) -> int:
        """The epoch that the next step belongs to."""
        return self.schedule.epoch(self.step)

    @property
    def phase(self) -> Phase:
        """The phase that the next step belongs to."""
        return self.schedule.phase(self.step)

    def end_epoch(self) -> None:
        """Marks the end of a pass over the data: learns an epoch's length, or checks the pass against the known one."""
        known = self.schedule.steps_per_epoch
        if known is None:
            if self.step > 0:
                self._learn(self.step)
        elif self._ended is not None and self.step - self._ended != known:
            self._warn(
                f"the data's epoch had {self.step - self._ended} steps, the schedule's has {known}: "
                "give Schedule(steps_per_epoch=len(loader)), or leave it out to have it inferred"
            )
        elif self.step % known:
            self._warn(
                f"the data's epoch ended at step {self.step}, no multiple of the schedule's {known} steps per epoch: "
                "give Schedule(steps_per_epoch=len(loader)), or leave it out to have it inferred"
            )
        self._ended = self.step

    def set_steps_per_epoch(self, steps: int) -> None:
        """Sets the epoch's length if it is unknown; warns if it differs from the known one."""
        known = self.schedule.steps_per_epoch
        if known is None:
            self._learn(steps)
            if self.step > steps:
                self._warn(
                    f"told at step {self.step} that an epoch has {steps} steps: epochs went by unnoticed; "
                    "call set_steps_per_epoch() before training, or end_epoch() after each epoch"
                )
        elif known != steps:
            self._warn(
                f"the data's epoch has {steps} steps, the schedule's {known}: "
                f"give Schedule(steps_per_epoch={steps}), or leave it out to have it inferred"
            )

    def load(self, step: int, steps_per_epoch: int | None) -> int | None:
        """Restores a checkpoint's step, and its epoch length unless the user's schedule gives one.

        Returns:
            The length that had been set or learnt before, or None.
        """
        self.step, self._ended, self._trains, self._counted = step, None, False, 0
        self._early = False
        if self._given.steps_per_epoch is not None:
            return None
        told, self.schedule = self.schedule.steps_per_epoch, replace(self._given, steps_per_epoch=steps_per_epoch)
        return told

    def _learn(self, steps: int) -> None:
        self.schedule = replace(self._given, steps_per_epoch=steps)

    def _warn(self, message: str) -> None:
        if not self._warned:
            warnings.warn(message, UserWarning, stacklevel=4)
        self._warned = True


class Clocked:
    """Mixin for losses whose state changes with steps and epochs."""

    clock: Clock

    @property
    def step(self) -> int:
        """Optimisation steps done."""
        return self.clock.step

    @property
    def schedule(self) -> Schedule:
        """The schedule, with the length of an epoch once it is known."""
        return self.clock.schedule

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps in an epoch; None while unknown."""
        return self.schedule.steps_per_epoch

    @property
    def phase(self) -> Phase:
        """The phase that the next step belongs to."""
        return self.clock.phase

    @property
    def reweighted(self) -> bool:
        """Whether the next step uses class weights."""
        return self.schedule.reweighted(self.step)

    def set_steps_per_epoch(self, steps: int) -> None:
        """Sets how many steps an epoch has: the loader's length.

        Call it before training if the schedule has no length. A length that is already known stays, with one warning
        if it differs.

        Raises:
            ValueError: ``steps`` is below 1, and no length is known yet.
        """
        before = self.clock.epoch
        self.clock.set_steps_per_epoch(steps)
        if self.clock.epoch > before:
            self.start_epochs_since(before)

    def end_epoch(self) -> None:
        """Marks the end of a pass over the data; call it after the last :meth:`update` of each.

        If the epoch length is unknown, it becomes the number of steps done, and the second epoch starts as if that
        length had been given. A known length stays, with one warning if an epoch's end doesn't match it.
        """
        before = self.clock.epoch
        self.clock.end_epoch()
        if self.clock.epoch > before:
            self.start_epochs_since(before)

    def start_epochs_since(self, before: int) -> None:
        """Updates the state at the start of an epoch; ``before`` is the epoch before it, which may lie several back."""
        raise NotImplementedError
