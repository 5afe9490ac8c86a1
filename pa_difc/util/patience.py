"""Reads from unreliable disks: faults of the disk are retried, and never blamed on a file."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .errors import DiskError

T = TypeVar("T")

#: Seconds to wait before another try.
PAUSES_S = (0.1, 0.5, 2.0)

#: Errors that say nothing about the file: of the disk, of the network below it, or of a limit of this process.
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
    """Calls ``read``, and again after pauses if the disk fails; returns its result.

    Args:
        read: may be called several times.
        path: what it reads, for the error.

    Raises:
        DiskError: the disk failed every time.
        OSError: an error of the file itself, such as a missing one.
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


class PatientFile(io.RawIOBase):
    """A regular file for reading; if the disk fails, the file is reopened and the read retried.

    Args:
        path: of the file; pipes and devices, which may never end, are refused.

    Attributes:
        fault: the error after the last retry, which decoders may take for the end of the file; None without one.
        length: of the file, in bytes.

    Raises:
        DiskError: the disk failed every time.
        OSError: the file can't be read, or is not a regular file.
    """

    def __init__(self, path: Path) -> None:
        self.fault: DiskError | None = None
        self._path = path
        self._at = 0
        self._fd = -1
        if not stat.S_ISREG(self._patiently(lambda: os.stat(path)).st_mode):
            raise OSError("not a file")
        self.length = self._patiently(lambda: os.fstat(self._opened()).st_size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.length}[whence]
        if start + offset < 0:
            raise ValueError(f"seek to {start + offset}")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readall(self) -> bytes:
        pieces = []
        while piece := self._patiently(lambda: self._piece(1 << 24)):
            pieces.append(piece)
            self._at += len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        data = self._patiently(lambda: self._piece(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._let_go()
        super().close()

    def _patiently(self, read: Callable[[], T]) -> T:
        def anew() -> T:
            try:
                return read()
            except OSError:
                self._let_go()  # a handle may be stale
                raise

        try:
            return patiently(anew, self._path)
        except DiskError as fault:
            self.fault = fault
            raise

    def _piece(self, length: int) -> bytes:
        os.lseek(self._opened(), self._at, os.SEEK_SET)  # Windows has no pread
        return os.read(self._fd, length)

    def _opened(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        return self._fd

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
