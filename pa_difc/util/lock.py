"""Locks for files and folders, held by one process at a time; another one waits, or is told who holds them."""

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
from weakref import WeakSet

from filelock import FileLock, Timeout

from .errors import UserError
from .files import refuse_links

#: A folder's lock file, and the file that says who holds it; both are removed when the work is done.
LOCK, OWNER = ".lock", ".owner.json"

#: Seconds between two tries while another process holds a folder.
LOOK_S = 1.0

#: The folders that threads of this process hold, with the threads' ids.
_held: set[tuple[Path, int]] = set()

#: The locks that this process holds; one that nothing refers to any more is released.
_locks: WeakSet[Lock] = WeakSet()

#: Errors of file systems without locks; work goes on without one there.
_NO_LOCKS = frozenset(getattr(errno, name) for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP") if hasattr(errno, name))


class Held(UserError):
    """Another process holds the lock."""


class Lock:
    """A lock that one process holds at a time; the system releases it if the process is killed.

    Args:
        file: the lock file.
        owner: a file next to it that says who holds it.
        doing: what the error says about another holder, such as "is writing this store; wait for it".
        where: the locked file or folder, for the error.

    Raises:
        Held: another process holds it.
        UserError: the lock file can't be made.
    """

    def __init__(self, file: Path, owner: Path, *, doing: str, where: Path) -> None:
        refuse_links(file, owner, instead="another --out")
        self._file, self._owner = file, owner
        self._lock = FileLock(file, timeout=0)
        try:
            self._lock.acquire()
            while not file.exists():  # the last holder removed it in the meantime: lock a new file
                self._lock.release()
                self._lock.acquire()
        except Timeout:
            raise Held(f"{where}: {self._holder()} {doing}") from None
        except NotImplementedError:  # filelock's error for a file system without locks
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise UserError(f"cannot write {where}: {error.strerror or error}") from None
        self._held = True
        _locks.add(self)
        said = {"process": os.getpid(), "machine": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M}"}
        with suppress(OSError):  # the owner file is only information
            owner.write_text(json.dumps(said))

    def release(self, *, keep_file: bool = False) -> None:
        """Releases the lock and removes its files; may be called several times."""
        if not self._held:
            return
        self._held = False
        _locks.discard(self)
        self.remove_files(keep_file=keep_file)
        self._lock.release()

    def remove_files(self, *, keep_file: bool = False) -> None:
        """Removes its files, all or only the one that says who holds it."""
        self._owner.unlink(missing_ok=True)
        if not keep_file:
            self._file.unlink(missing_ok=True)

    def _holder(self) -> str:
        try:
            said = json.loads(self._owner.read_text())
            return f"process {said['process']} on {said['machine']} (since {said['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def remove_lock_files() -> None:
    """Removes the files of all locks that this process holds; for one that ends at once, which releases the locks."""
    for lock in tuple(_locks):
        with suppress(OSError):
            lock.remove_files()


def is_free(file: Path) -> bool:
    """Whether certainly nobody holds a lock file; False if it does not exist, or the file system has no locks."""
    if not file.exists() or file.is_symlink():
        return False
    try:
        with FileLock(file, timeout=0):
            return True
    except (Timeout, NotImplementedError, OSError):
        return False


@contextmanager
def holding(folder: Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Holds the lock of a folder within a block; see :class:`Lock`.

    Args:
        folder: is made if needed.
        doing: see :class:`Lock`.
        wait: print a line and wait if another process holds it.

    Raises:
        Held: another process holds it, and ``wait`` is False.
        UserError: the folder can't be written to.
        RuntimeError: this thread already holds it, and would wait for itself.
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
    """Removes the lock files that a killed process left in a folder."""
    if (folder / LOCK).exists():
        with suppress(UserError), holding(folder, ""):
            pass


def _of_folder(folder: Path, doing: str) -> Lock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
    return Lock(folder / LOCK, folder / OWNER, doing=doing, where=folder)
