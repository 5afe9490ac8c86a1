"""One process at a time writes a store."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ...util.errors import UserError

#: The lock's file in a store's folder, and the one that says who holds it; both are gone when the store is whole.
LOCK, OWNER = ".lock", ".owner.json"

#: The folder of unfinished work in a store's folder.
PART = ".part"


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Holds the lock of a store's folder; a killed process holds none.

    Raises:
        UserError: another process writes there, or the folder can't be made.
    """
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise UserError(f"{out}: {_owner(out)} is writing this store; wait for it, or give another --out") from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    try:
        owner = {"process": os.getpid(), "machine": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M}"}
        with suppress(OSError):  # it is there to be read, and holds nothing up
            (out / OWNER).write_text(json.dumps(owner))
        yield
    finally:
        (out / OWNER).unlink(missing_ok=True)
        whole_or_empty = not (out / PART).exists()
        if whole_or_empty:
            (out / LOCK).unlink(missing_ok=True)
        lock.release()
        if made and whole_or_empty and not any(out.iterdir()):
            out.rmdir()


def _owner(out: Path) -> str:
    try:
        owner = json.loads((out / OWNER).read_text())
        return f"process {owner['process']} on {owner['machine']} (since {owner['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
