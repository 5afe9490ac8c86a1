"""Detects whether a study's workers are still alive.

A worker holds a lock that the system releases when it dies, which processes on the same machine see at once. For other
machines it writes heartbeats: a growing number. Whoever waits times the number's changes by its own clock, so that
clocks need not agree. This also detects a trial that never got a heartbeat, and a worker that was stopped, paused or
cut off.
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

#: Missed heartbeats after which a worker counts as dead.
MISSED = 3

#: The attributes of a trial: its worker's name, and its last heartbeat.
WORKER, BEAT = "worker", "beat"

#: The folder of locks in a study's.
WORKERS = "workers"

#: If more seconds than this pass between two checks, earlier observations of other workers are discarded.
_GAP_S = 5.0


class TrialLostError(Exception):
    """Another worker has taken over this worker's trial, because it seemed dead."""


class Worker:
    """This process as a worker, with its name and lock.

    Args:
        folder: of the study, for the lock; None for no lock, so that only heartbeats show that it is alive.
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
        """Whether a worker has certainly ended; False if that can't be known."""
        machine, _, own = (name or "").rpartition("/")
        known = self._folder is not None and machine == machine_name() and re.fullmatch(r"\d+-[0-9a-f]{8}", own)
        return bool(known and self._folder and is_free(self._folder / f"{own}.lock"))


def sweep(folder: Path) -> None:
    """Removes the lock files of a study's killed workers, once their trials are recovered."""
    for file in sorted((folder / WORKERS).glob("*.lock")):
        if is_free(file):
            for path in (file, file.with_suffix(".json")):
                with suppress(OSError):
                    path.unlink(missing_ok=True)


class Beats:
    """A context in which a thread writes a trial's heartbeats.

    Args:
        storage: of the study.
        trial: the running trial.
        worker: this process.
        seconds: between two heartbeats.
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
        """Stops the trial if another worker has taken it over.

        Raises:
            TrialLostError: another worker has it.
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
                named = False  # a long outage of the storage; if it lasts, the trial's own calls will report it
            self._stop.wait(self._seconds)


class Watch:
    """Finds running trials whose worker is gone.

    Args:
        study: the study.
        worker: this process, which has no trial while it checks.
        seconds: between two heartbeats.
    """

    def __init__(self, study: optuna.Study, worker: Worker, seconds: float) -> None:
        self._study, self._worker, self._seconds = study, worker, seconds
        self._seen: dict[int, tuple[Any, float]] = {}  # by trial: the last heartbeat, and when it was first seen
        self._looked, self._outages = time.monotonic(), 0

    @property
    def grace_s(self) -> float:
        """Seconds without a heartbeat after which a worker counts as dead."""
        return MISSED * self._seconds

    def lost(self) -> list[FrozenTrial]:
        """The trials whose worker has ended, or has been silent for longer than :attr:`grace_s`."""
        storage, now = self._study._storage, time.monotonic()
        outages = storage.outages if isinstance(storage, SteadyStorage) else 0
        if now - self._looked > max(_GAP_S, self._seconds) or outages != self._outages:
            self._seen.clear()  # observations are outdated after a long gap or an outage
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
