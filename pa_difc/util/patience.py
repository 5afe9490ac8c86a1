"""Reading from disks that fail now and then: faults of the disk are tried again, and never blamed on a file."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .errors import DiskError

T = TypeVar("T")

#: Seconds to wait before another try.
PAUSES_S = (0.1, 0.5, 2.0)

#: Errors that say nothing of the file: of the disk, of the network below it, or of a limit of this process.
_FAULTS = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "EREMOTEIO", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
        *("ECONNRESET", "ENOTCONN", "ENOLINK", "ENODEV", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EAGAIN", "EBUSY"),
    )
    if hasattr(errno, name)
)


def is_fault(error: BaseException) -> bool:
    """Whether an error is the disk's or the system's, not the file's."""
    return isinstance(error, OSError) and error.errno in _FAULTS


def patiently(read: Callable[[], T], path: Path | str) -> T:
    """What ``read`` returns; where the disk fails, it is called again after a while.

    Args:
        read: may be called several times.
        path: what it reads, for the error.

    Raises:
        DiskError: the disk failed every time.
        OSError: an error of the file's own, such as one that is not there.
    """
    for pause in (*PAUSES_S, None):
        try:
            return read()
        except OSError as error:
            if not is_fault(error):
                raise
            if pause is None:
                tries = len(PAUSES_S) + 1
                why = error.strerror or os.strerror(error.errno or 0)
                raise DiskError(f"cannot read {path} ({tries} tries): {why}") from None
            time.sleep(pause)
    raise AssertionError("unreachable")
