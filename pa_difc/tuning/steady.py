"""A storage that survives outages of its server: each call is retried for a limited time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from ..util.errors import UserError
from ..util.interrupts import interruptible

#: Seconds for which calls to a server that does not answer are retried, and the longest pause between two tries.
PATIENCE_S, PAUSE_S = 300.0, 5.0

#: Seconds of an outage after which it is reported.
SAY_S = 1.0

#: Words in a database's errors that no waiting mends.
_FINAL = ("disk is full", "disk i/o", "readonly", "read-only", "malformed", "not a database", "unable to open")

#: gRPC codes of a server that does not answer, or whose own database does not.
_AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN")


class SteadyStorage(BaseStorage):
    """A storage whose server may be unreachable for a while.

    Args:
        storage: the real storage.
        clean: removes passwords from a driver's messages.

    Attributes:
        outages: number of outages so far; earlier observations of other workers are outdated after one.
        worker: name of the worker that makes trials, which is set on every new trial; None without one.
    """

    def __init__(self, storage: BaseStorage, clean: Callable[[str], str]) -> None:
        self._storage, self._clean = storage, clean
        self.outages = 0
        self.worker: str | None = None
        self._given_up = self._said = False

    def create_new_trial(self, study_id: int, template_trial: optuna.trial.FrozenTrial | None = None) -> int:
        """Creates a trial that has its worker's name from the beginning."""
        if template_trial is None and self.worker is not None:
            template_trial = optuna.create_trial(state=TrialState.RUNNING, system_attrs={"worker": self.worker})
        made: int = self._call("create_new_trial", study_id, template_trial=template_trial)
        return made

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        began: float | None = None
        while True:
            try:
                result = getattr(self._storage, name)(*args, **kwargs)
            except UpdateFinishedTrialError:
                if began is None or name != "set_trial_state_values" or not self._is_so(*args, **kwargs):
                    raise
                result = True  # the first try had arrived; only its answer was lost
            except Exception as error:
                if self._given_up or not is_away(error):
                    raise
                began = self._wait(began, error)
                continue
            if began is not None and self._said:
                self._said = False
                _say("the study's storage answers again")
            return result

    def _wait(self, began: float | None, error: Exception) -> float:
        """Waits before the next try; returns the time of the first.

        Raises:
            UserError: the time for retries is used up.
            KeyboardInterrupt: Ctrl-C; nothing is retried from then on.
        """
        now = time.monotonic()
        if began is None:
            began = now
            self.outages += 1
        elif now - began > SAY_S and not self._said:
            self._said = True
            about = f"{reason(error, self._clean)}; trying for {PATIENCE_S / 60:.0f} minutes"
            _say(f"the study's storage does not answer ({about})")
        if now - began > PATIENCE_S:
            self._given_up = threading.current_thread() is threading.main_thread()  # the heartbeat thread keeps trying
            about = f"for {PATIENCE_S / 60:.0f} minutes: {reason(error, self._clean)}"
            raise UserError(f"the study's storage did not answer {about}; rerun the command to resume") from None
        try:
            with interruptible():
                time.sleep(min(PAUSE_S, 0.1 + (now - began) / 4))
        except KeyboardInterrupt:
            self._given_up = True
            raise
        return began

    def _is_so(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        trial = self._call("get_trial", trial_id)
        return bool(trial.state == state and (values is None or list(trial.values or ()) == list(values)))


def _handed_on(name: str) -> Callable[..., Any]:
    def call(self: SteadyStorage, *args: Any, **kwargs: Any) -> Any:
        return self._call(name, *args, **kwargs)

    return call


for _name in {*BaseStorage.__abstractmethods__, "remove_session"} - {"create_new_trial"}:
    setattr(SteadyStorage, _name, _handed_on(_name))
SteadyStorage.__abstractmethods__ = frozenset()


def is_away(error: BaseException) -> bool:
    """Whether an error is temporary: the server does not answer, or the file is locked."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, OperationalError | InterfaceError):
        return not any(words in str(cause.orig).lower() for words in _FINAL)
    code = getattr(error, "code", None)  # of a grpc.RpcError
    return type(error).__module__.startswith("grpc") and callable(code) and getattr(code(), "name", "") in _AWAY


def reason(error: BaseException, clean: Callable[[str], str]) -> str:
    """An error's message, on one line and without a password."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    details = getattr(cause, "details", None)  # of a grpc.RpcError
    said = details() if callable(details) else getattr(cause, "orig", None) or cause
    lines = str(said).strip().splitlines() or [type(cause).__name__]
    return clean(lines[0])


@contextmanager
def one_line_errors(clean: Callable[[str], str]) -> Iterator[None]:
    """Turns a storage's errors in the middle of a study (a full disk, a damaged file) into a UserError."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise UserError(f"the study's storage: {reason(error, clean)}") from None
    except Exception as error:
        if not type(error).__module__.startswith("grpc"):
            raise
        raise UserError(f"the study's storage: {reason(error, clean)}") from None


def _say(text: str) -> None:
    print(f"note: {text}", flush=True)
