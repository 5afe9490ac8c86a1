"""Who is at work on a study, and whether they still are.

A worker holds a lock that the system frees when it dies, which its own machine sees at once. For others it writes
beats: a number that grows. Whoever waits looks at the number by its own clock, so that clocks need not agree, and a
trial that was never given a beat is found as well as one whose worker was stopped, paused or cut off.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from ..util.errors import UserError
from ..util.lock import Lock, is_free
from ..util.process import machine_name
from .steady import SteadyStorage

#: A worker has died after so many beats that never came.
MISSED = 3

#: The attributes of a trial: its worker's name, and its last beat.
WORKER, BEAT = "worker", "beat"

#: The folder of locks in a study's.
WORKERS = "workers"

#: Where a trial of another worker is looked at less often than this, seconds, nothing is reported of it.
_GAP_S = 5.0


class TrialLostError(Exception):
    """A trial was given to another worker, because this one was taken for dead."""


class Worker:
    """This process, as others see it.

    Args:
        folder: of the study, for the lock; None: there is none, and beats alone tell that it lives.
    """

    def __init__(self, folder: Path | None = None) -> None:
        own = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.name = f"{machine_name()}/{own}"
        self._folder = folder and folder / WORKERS
        self._lock: Lock | None = None
        if self._folder:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"cannot write {self._folder}: {error.strerror or error}") from None
            file = self._folder / f"{own}.lock"
            self._lock = Lock(file, file.with_suffix(".json"), doing="is at work", where=self._folder)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._lock:
            with suppress(OSError):
                self._lock.release()

    def is_gone(self, name: str | None) -> bool:
        """Whether a worker has certainly ended; false where that can't be known."""
        machine, _, own = (name or "").rpartition("/")
        known = self._folder is not None and machine == machine_name() and re.fullmatch(r"\d+-[0-9a-f]{8}", own)
        return bool(known and self._folder and is_free(self._folder / f"{own}.lock"))


def sweep(folder: Path) -> None:
    """Removes the locks of a study's workers that were killed; their trials have been looked after."""
    for file in sorted((folder / WORKERS).glob("*.lock")):
        if is_free(file):
            for path in (file, file.with_suffix(".json")):
                with suppress(OSError):
                    path.unlink(missing_ok=True)


class Beats:
    """Within the block a trial's beats are written by a thread.

    Args:
        storage: of the study.
        trial: at work.
        worker: this process.
        seconds: between two beats.
    """

    def __init__(self, storage: Any, trial: optuna.Trial, worker: Worker, seconds: float) -> None:
        self._storage, self._id, self._worker, self._seconds = storage, trial._trial_id, worker, seconds
        self._number = trial.number
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Beats:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(self._seconds)

    def check(self) -> None:
        """Stops a trial that others were given.

        Raises:
            TrialLostError: it was.
        """
        if self._lost.is_set():
            raise TrialLostError(self._number)

    def _run(self) -> None:
        number, named = 0, False
        while not self._stop.is_set():
            try:
                if not named:
                    self._storage.set_trial_system_attr(self._id, WORKER, self._worker.name)
                    named = True
                self._storage.set_trial_system_attr(self._id, BEAT, number)
                number += 1
            except UpdateFinishedTrialError:
                if not self._stop.is_set():
                    self._lost.set()
                return
            except Exception:
                named = False  # the storage is away for long; if it stays so, the trial's own calls say it
            self._stop.wait(self._seconds)


class Watch:
    """Which running trials nobody is at work on any more.

    Args:
        study: looked at.
        worker: this process, which has no trial while it looks.
        seconds: between two beats.
    """

    def __init__(self, study: optuna.Study, worker: Worker, seconds: float) -> None:
        self._study, self._worker, self._seconds = study, worker, seconds
        self._seen: dict[int, tuple[Any, float]] = {}  # a trial's last beat, and since when it is
        self._looked, self._outages = time.monotonic(), 0

    @property
    def grace_s(self) -> float:
        """Seconds without a beat after which a worker has died."""
        return MISSED * self._seconds

    def lost(self) -> list[FrozenTrial]:
        """The trials whose worker has ended, or given no sign for long."""
        storage, now = self._study._storage, time.monotonic()
        outages = storage.outages if isinstance(storage, SteadyStorage) else 0
        if now - self._looked > max(_GAP_S, self._seconds) or outages != self._outages:
            self._seen.clear()  # nobody was looked at meanwhile, or nobody could be seen
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        lost = [trial for trial in running if self._is_lost(trial, now)]
        self._looked, self._outages = now, outages
        return lost

    def _is_lost(self, trial: FrozenTrial, now: float) -> bool:
        name = trial.system_attrs.get(WORKER)
        if name == self._worker.name or self._worker.is_gone(name):
            return True
        beat = (name, trial.system_attrs.get(BEAT))
        before, since = self._seen.get(trial.number, (None, now))
        if before != beat:
            self._seen[trial.number] = (beat, now)
            return False
        return now - since > self.grace_s
