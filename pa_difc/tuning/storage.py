"""Opens the storages of studies, and decides how many workers may write to them."""

from __future__ import annotations

import random
import time
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage, get_storage
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from ..util.errors import UserError
from ..util.lock import Held, Lock
from .address import Address
from .journal import Journal
from .steady import SteadyStorage, reason

#: Attempts to make the tables: if several workers begin at once on an empty database, only one succeeds.
TABLE_TRIES = 10

#: Seconds to connect; to wait for a lock; and after which a paused worker's open transaction is ended.
CONNECT_S, LOCK_S, IDLE_S = 10, 30, 60

#: The locks of sqlite files that this process holds until it ends.
_LOCKS: list[Lock] = []


def open_storage(address: Address | str, *, wait_s: int = 10, shared: bool = False) -> SteadyStorage:
    """Opens the storage at an address.

    ``sqlite:///FILE`` is for one command and its workers, ``postgresql+psycopg2://…`` for many workers on many
    machines, ``journal:FILE`` for several workers on a shared disk, and ``grpc://HOST:PORT`` for access through a
    proxy. In all of them a lost worker is noticed in the same way, see :mod:`.workers`.

    Args:
        address: of the storage.
        wait_s: seconds to wait for a proxy.
        shared: whether this process is a worker of the command that holds the sqlite file's lock.

    Raises:
        UserError: the kind is unknown, a package is missing, the server can't be reached, or another command is
            writing to the sqlite file.
    """
    address = Address.of(address) if isinstance(address, str) else address
    kind = address.url.partition(":")[0]
    try:
        return SteadyStorage(_open(kind, address, wait_s, shared), address.clean)  # type: ignore[abstract]
    except UserError:
        raise
    except ModuleNotFoundError as error:
        extra = "grpc" if kind == "grpc" else "postgres"
        raise UserError(f"storage {kind}: needs the package {error.name}: pip install 'pa-difc[{extra}]'") from None
    except Exception as error:  # each driver has its own errors
        why = reason(error, address.clean)
        raise UserError(f"storage {address.url} can't be opened: {why}") from None


def _open(kind: str, address: Address, wait_s: int, shared: bool) -> BaseStorage:
    if kind == "sqlite":
        if not shared:
            _lock(address.url)
        return _database(address.url, connect_args={"timeout": LOCK_S})
    if kind.startswith(("postgresql", "mysql")):
        connect: dict[str, Any] = {"connect_timeout": CONNECT_S}
        if address.password is not None:
            connect["password"] = address.password
        return _database(address.url, pool_pre_ping=True, connect_args=connect)
    if kind == "journal":
        return JournalStorage(Journal(Path(address.url.partition(":")[2])))
    if kind == "grpc":
        host, _, port = address.url.removeprefix("grpc://").partition(":")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = GrpcStorageProxy(host=host, port=int(port or 13000))
        storage.wait_server_ready(timeout=wait_s)
        return storage
    raise UserError(
        f"storage {address.url!r}: must be sqlite:///FILE, postgresql+psycopg2://USER@HOST/DATABASE, "
        "journal:FILE or grpc://HOST:PORT"
    )


def _database(url: str, **engine: Any) -> BaseStorage:
    """Opens a database, and makes its tables; if another worker is making them, tries again."""
    for left in reversed(range(TABLE_TRIES)):
        try:
            storage = RDBStorage(url, engine_kwargs=engine)
            break
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            words = str(error.orig).lower()
            if not left or not any(said in words for said in ("already exists", "duplicate", "unique", "locked")):
                raise
            time.sleep(random.uniform(0.1, 0.5))
        except (RuntimeError, AssertionError):  # the tables have no version yet: another worker is writing it
            if not left:
                raise
            time.sleep(random.uniform(0.1, 0.5))
    if storage.engine.name == "postgresql":
        event.listen(storage.engine, "connect", _never_wait_for_ever)
    elif storage.engine.name == "sqlite":
        event.listen(storage.engine, "connect", _no_transaction)
        event.listen(storage.engine, "begin", _in_turn)
    storage.engine.dispose()  # so that new connections call the listeners
    return get_storage(storage)  # with optuna's cache


def _never_wait_for_ever(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_S}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'")
    connection.commit()


def _no_transaction(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # keeps Python from beginning transactions by itself


def _in_turn(connection: Any) -> None:
    """Serialises transactions: two that have read and then want to write would block each other."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _lock(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    doing = (
        "is writing there, and sqlite takes one command; its --jobs N trains on several cores, and for several "
        "commands: --storage postgresql+psycopg2://… or journal:FILE"
    )
    lock, owner = (path.with_name(path.name + end) for end in (".lock", ".owner.json"))
    try:
        _LOCKS.append(Lock(lock, owner, doing=doing, where=Path(path)))
    except Held as held:
        raise UserError(f"storage {held}") from None
