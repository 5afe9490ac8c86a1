"""One process at a time writes a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...util.lock import holding

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
        with holding(out, "is writing this store; wait for it, or give another --out"):
            yield
    finally:
        if made and out.exists() and not any(out.iterdir()):
            out.rmdir()
