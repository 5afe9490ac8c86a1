"""One process at a time works in a folder, on whichever machine that shares its disk."""

from __future__ import annotations

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

#: The lock's file in a folder, and the one that says who holds it; both are gone when the work is done.
LOCK, OWNER = ".lock", ".owner.json"

#: Seconds between two looks at a folder that another process holds.
LOOK_S = 1.0


#: The folders that threads of this process hold.
_held: set[tuple[Path, int]] = set()


class Held(UserError):
    """Another process works there."""


@contextmanager
def holding(folder: Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Holds a folder's lock; a killed process holds none.

    Args:
        folder: made if need be.
        doing: what another holder is told to be doing, and what to do about it.
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
            lock = _acquired(folder)
        except Held as held:
            error = Held(f"{folder}: {held} {doing}")
            if not wait:
                raise error from None
            if me in _held:
                raise RuntimeError(f"{folder} is held by this very thread already") from None
            if not said:
                print(f"waiting: {error}", flush=True)
            said = True
            time.sleep(LOOK_S)
    try:
        _held.add(me)
        owner = {"process": os.getpid(), "machine": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M}"}
        with suppress(OSError):  # it is there to be read, and holds nothing up
            (folder / OWNER).write_text(json.dumps(owner))
        yield
    finally:
        _held.discard(me)
        with suppress(OSError):
            (folder / OWNER).unlink(missing_ok=True)
            (folder / LOCK).unlink(missing_ok=True)  # while it is held: who waits for this very file looks again
        lock.release()


def sweep(folder: Path) -> None:
    """Removes the lock that a killed process has left in a folder whose work is done."""
    if (folder / LOCK).exists():
        with suppress(UserError), holding(folder, ""):
            pass


def _acquired(folder: Path) -> FileLock:
    """The lock of a folder.

    Raises:
        Held: by the process that the message names.
        UserError: see :func:`holding`.
    """
    try:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / LOCK, timeout=0)
            lock.acquire()
            if (folder / LOCK).exists():  # else its last holder removed it in between, and the next one makes another
                return lock
            lock.release()
    except Timeout:
        raise Held(_owner(folder)) from None
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_text())
        return f"process {owner['process']} on {owner['machine']} (since {owner['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
