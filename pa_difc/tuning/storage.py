"""Where a study's trials are kept, and how many workers may write there."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import SQLAlchemyError

from ..util.errors import UserError
from ..util.process import without_password

MAX_RETRIES = 2

#: Locks that this process holds; they go when it goes, however it goes.
_LOCKS: list[IO[str]] = []


def open_storage(url: str, heartbeat_s: int = 60, wait_s: int = 10) -> BaseStorage:
    """The storage for a URL.

    ``sqlite:///FILE``: one process. ``postgresql+psycopg2://…``: many workers on many machines, with heartbeats, so
    that a lost worker's trial is retried. ``journal:FILE``: several workers on a shared disk, no heartbeat.
    ``grpc://HOST:PORT``: through a proxy, no heartbeat.

    Args:
        url: where to.
        heartbeat_s: seconds between heartbeats; a trial is stale after three.
        wait_s: seconds to wait for a proxy.

    Raises:
        UserError: the kind is unknown, the server can't be reached, or an sqlite file has a writer already.
    """
    kind = url.partition(":")[0]
    try:
        if kind == "sqlite":
            _lock(url)
            return _database(url, heartbeat_s)
        if kind.startswith(("postgresql", "mysql")):
            return _database(url, heartbeat_s, pool_pre_ping=True)
        if kind == "journal":
            _say("journal storage has no heartbeat: a killed worker's trial stays RUNNING and is not retried")
            path = Path(url.partition(":")[2])
            path.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(path)))
        if kind == "grpc":
            _say("grpc storage has no heartbeat: a killed worker's trial stays RUNNING and is not retried")
            host, _, port = url.removeprefix("grpc://").partition(":")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                storage = GrpcStorageProxy(host=host, port=int(port or 13000))
            storage.wait_server_ready(timeout=wait_s)
            return storage
    except UserError:
        raise
    except ModuleNotFoundError as error:
        extra = "grpc" if kind == "grpc" else "postgres"
        raise UserError(f"storage {kind}: needs the package {error.name}: pip install 'pa-difc[{extra}]'") from None
    except Exception as error:  # each driver has errors of its own
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(f"storage {without_password(url)} can't be opened: {reason}") from None
    raise UserError(
        f"storage {without_password(url)!r}: must be sqlite:///FILE, postgresql+psycopg2://USER@HOST/DATABASE, "
        "journal:FILE or grpc://HOST:PORT"
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns what a storage raises in the middle of a study (a full disk, a damaged file) into a UserError."""
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise UserError(f"the study's storage: {reason}") from None


def recover_lost_trials(study: optuna.Study, url: str) -> int:
    """Marks the trials of a killed process as failed, where it is certain that nobody else can be running them.

    An sqlite file has one writer, and we hold its lock: whatever is RUNNING was lost. Values that were suggested are
    suggested again (see :class:`study.SamplerByPosition`), those that were queued are queued again. Elsewhere
    heartbeats tell.

    Returns:
        The number of lost trials.
    """
    if not url.startswith("sqlite"):
        return 0
    lost = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in lost:
        if "fixed_params" in trial.system_attrs:
            requeue(study, trial)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return len(lost)


def requeue(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Queues a trial's values again; its folder's checkpoint is where it goes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, trial)


def _database(url: str, heartbeat_s: int, **engine: object) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url,
            engine_kwargs=engine,
            heartbeat_interval=heartbeat_s,
            grace_period=3 * heartbeat_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES),
        )


def _lock(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("a+")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        raise UserError(
            f"storage {without_password(url)}: process {lock.read().strip() or '?'} is writing there, and sqlite takes "
            "one writer; for several workers: --storage postgresql+psycopg2://… or journal:FILE"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    _LOCKS.append(lock)


def _say(text: str) -> None:
    print(f"note: {text}", flush=True)
