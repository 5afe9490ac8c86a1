"""One process at a time writes a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...util.errors import UserError
from ...util.files import refuse_links
from ...util.lock import LOCK, OWNER, Lock

#: The folder of unfinished work in a store's folder.
PART = ".part"


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Holds the lock of a store's folder; a killed process holds none.

    Raises:
        UserError: another process writes there, there are links, or the folder can't be made.
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
