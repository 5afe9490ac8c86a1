"""Which step, epoch and phase a loss is in, where an epoch's length is known, told late, or learnt from the first."""

from __future__ import annotations

import warnings
from dataclasses import replace

from .schedule import Phase, Schedule


class Clock:
    """Counts steps, and says by a schedule what they mean. Until an epoch's length is known, all are of epoch 0.

    Args:
        schedule: as its user gave it; :attr:`schedule` is the same with the length as far as it is known.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = self._given = schedule
        self.step = 0  #: optimisation steps done
        self._ended: int | None = 0  # the step at which the data's last epoch ended; unknown after a checkpoint
        self._warned = False

    @property
    def epoch(self) -> int:
        """The epoch that the next step belongs to."""
        return self.schedule.epoch(self.step)

    @property
    def phase(self) -> Phase:
        """The phase that the next step belongs to."""
        return self.schedule.phase(self.step)

    def end_epoch(self) -> None:
        """The data's epoch has ended: an unknown length becomes the number of steps done, a known one is compared."""
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
        """The data's epoch has so many steps: sets an unknown length, and is compared with a known one."""
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
        """Takes over a checkpoint's step, and its length where the user gave none.

        Returns:
            The length that was known before, if it was told or learnt.
        """
        self.step, self._ended = step, None
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
        """The schedule, with the length of an epoch as far as it is known by now."""
        return self.clock.schedule

    @property
    def steps_per_epoch(self) -> int | None:
        """The length of an epoch; None while it is not known."""
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
        """Tells how many steps an epoch has: the length of the loader.

        Sets a length that the schedule left open, best before training. One that differs from a known length changes
        nothing and warns, once.

        Raises:
            ValueError: ``steps`` is below 1.
        """
        before = self.clock.epoch
        self.clock.set_steps_per_epoch(steps)
        if self.clock.epoch > before:
            self.start_epochs_since(before)

    def end_epoch(self) -> None:
        """Tells that the data's epoch has ended, after its last :meth:`update`.

        Where the length of an epoch was unknown, it becomes the number of steps done, and the second epoch starts as it
        would have with that length given. Otherwise nothing changes; an end that does not fit the length warns, once.
        """
        before = self.clock.epoch
        self.clock.end_epoch()
        if self.clock.epoch > before:
            self.start_epochs_since(before)

    def start_epochs_since(self, before: int) -> None:
        """What the state does where the next step begins an epoch after ``before``, which is not the last at times."""
        raise NotImplementedError
