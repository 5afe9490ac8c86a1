"""One process at a time works on a file or in a folder; another is told which one does, on which machine, or waits."""

from __future__ import annotations

import errno
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import UserError
from .files import refuse_links

#: The lock's file in a folder, and the one that says who holds it; both are gone when the work is done.
LOCK, OWNER = ".lock", ".owner.json"

#: Seconds between two looks at a folder that another process holds.
LOOK_S = 1.0

#: The folders that threads of this process hold.
_held: set[tuple[Path, int]] = set()

#: Errors of file systems that have no locks: there is none then.
_NO_LOCKS = frozenset(getattr(errno, name) for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP") if hasattr(errno, name))


class Held(UserError):
    """Another process works there."""


class Lock:
    """The right to write something, held by one process at a time; a killed process holds none.

    Args:
        file: the lock's file.
        owner: a file next to it that says who holds it.
        doing: what another holder is told to be doing, and what to do about it, such as "is writing this store".
        where: it lies, for the error.

    Raises:
        Held: another process holds it.
        UserError: the file can't be made.
    """

    def __init__(self, file: Path, owner: Path, *, doing: str, where: Path) -> None:
        refuse_links(file, owner, instead="another --out")
        self._file, self._owner = file, owner
        self._lock = FileLock(file, timeout=0)
        try:
            self._lock.acquire()
            while not file.exists():  # its last holder removed it in between, and the next one makes another
                self._lock.release()
                self._lock.acquire()
        except Timeout:
            raise Held(f"{where}: {self._holder()} {doing}") from None
        except NotImplementedError:  # how filelock says that a file system has no locks
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise UserError(f"cannot write {where}: {error.strerror or error}") from None
        self._held = True
        said = {"process": os.getpid(), "machine": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M}"}
        with suppress(OSError):  # it is there to be read, and holds nothing up
            owner.write_text(json.dumps(said))

    def release(self, *, keep_file: bool = False) -> None:
        """Lets it go, once or several times; its files are removed."""
        if not self._held:
            return
        self._held = False
        self._owner.unlink(missing_ok=True)
        if not keep_file:
            self._file.unlink(missing_ok=True)
        self._lock.release()

    def _holder(self) -> str:
        try:
            said = json.loads(self._owner.read_text())
            return f"process {said['process']} on {said['machine']} (since {said['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def is_free(file: Path) -> bool:
    """Whether certainly nobody holds the lock of a file; false if it is not there, or where there are no locks."""
    if not file.exists() or file.is_symlink():
        return False
    try:
        with FileLock(file, timeout=0):
            return True
    except (Timeout, NotImplementedError, OSError):
        return False


@contextmanager
def holding(folder: Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a folder; see :class:`Lock`.

    Args:
        folder: made if need be.
        doing: see there.
        wait: until the other holder is done, after a line that says so.

    Raises:
        Held: another process holds it, and nobody waits.
        UserError: the folder can't be written.
        RuntimeError: this very thread holds it, and would wait for itself.
    """
    lock, said = None, False
    me = folder.resolve(), threading.get_ident()
    while lock is None:
        try:
            lock = _of_folder(folder, doing)
        except Held as held:
            if not wait:
                raise
            if me in _held:
                raise RuntimeError(f"{folder} is held by this very thread already") from None
            if not said:
                print(f"waiting: {held}", flush=True)
            said = True
            time.sleep(LOOK_S)
    _held.add(me)
    try:
        yield
    finally:
        _held.discard(me)
        with suppress(OSError):
            lock.release()


def sweep(folder: Path) -> None:
    """Removes the lock that a killed process has left in a folder whose work is done."""
    if (folder / LOCK).exists():
        with suppress(UserError), holding(folder, ""):
            pass


def _of_folder(folder: Path, doing: str) -> Lock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    return Lock(folder / LOCK, folder / OWNER, doing=doing, where=folder)
