"""Lets only one process at a time write a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...util.errors import UserError
from ...util.files import refuse_links
from ...util.lock import LOCK, OWNER, Lock

#: The folder for unfinished work within a store's folder.
PART = ".part"


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Holds the lock of a store's folder; if the process is killed, the lock is released.

    Raises:
        UserError: another process is writing there, the folder contains links, or it can't be made.
    """
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        refuse_links(*out.iterdir(), *(out / PART).glob("*"), instead="another --out")
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    lock = Lock(out / LOCK, out / OWNER, doing="is writing this store; wait for it, or give another --out", where=out)
    try:
        yield
    finally:
        whole_or_empty = not (out / PART).exists()
        lock.release(keep_file=not whole_or_empty)
        if made and whole_or_empty and not any(out.iterdir()):
            out.rmdir()
