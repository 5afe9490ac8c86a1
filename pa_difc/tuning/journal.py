"""A journal file that a killed worker can't spoil."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend

from ..util.errors import UserError
from ..util.process import machine_name

#: Seconds after which the lock of somebody on another machine, or of a paused process, is broken; and after which a
#: waiting worker says so.
BREAK_S, SAY_S = 30.0, 3.0


class Journal(JournalFileBackend):
    """optuna's journal file; a line that a killed worker left half written is taken away before the next is added.

    Nobody was told that such a line was written; with another one behind it, it could never be read again.

    Args:
        path: of the file.

    Raises:
        UserError: the file can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._writer = JournalLock(str(path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(str(path))
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds lines, all of them or none."""
        added = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._writer, open(self._file_path, "r+b") as file:
            end = _whole(file)
            try:
                file.truncate(end)
                file.seek(end)
                file.write(added)
                file.flush()
                os.fsync(file.fileno())
            except OSError:  # a full disk: no half line stays
                with suppress(OSError):
                    os.truncate(self._file_path, end)
                raise


class JournalLock:
    """The right to write a journal: a link between machines, and between the processes of one a lock of the system.

    The system frees its lock when a process is killed, and whoever gets it then knows that a link of this machine is
    stale. A link of another machine can only be waited for.

    Args:
        path: of the journal.
    """

    def __init__(self, path: str) -> None:
        self._link, self._path = f"{path}.lock", path
        self._local = FileLock(f"{path}.local.lock")
        self._said = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Waits until it is ours."""
        began = time.monotonic()
        sure = self._acquire_local(began)
        if os.name == "nt":  # links need rights there, and locks work on shared folders
            return
        me, seen, since = f"{machine_name()}/{os.getpid()}-{secrets.token_hex(4)}", "", began
        while True:
            try:
                os.symlink(me, self._link)
                return
            except FileExistsError:
                holder = self._holder()
            if holder != seen:
                seen, since = holder, time.monotonic()
            stale = sure and holder.rpartition("/")[0] == machine_name()
            if holder and (stale or time.monotonic() - since > BREAK_S) and holder == self._holder():
                with suppress(FileNotFoundError):
                    os.unlink(self._link)
                continue
            self._say(began)
            time.sleep(0.01)

    def release(self) -> None:
        """Lets it go; that another worker broke it while this one was paused does no harm."""
        if os.name != "nt":
            with suppress(FileNotFoundError):
                os.unlink(self._link)
        self._local.release()

    def _acquire_local(self, began: float) -> bool:
        """Whether the system gave its lock: not where there are none, and not while a paused process has it."""
        with suppress(Timeout, NotImplementedError):
            self._local.acquire(timeout=SAY_S, poll_interval=0.005)
            return True
        self._say(began)
        with suppress(Timeout, NotImplementedError):
            self._local.acquire(timeout=BREAK_S, poll_interval=0.05)
            return True
        return False

    def _holder(self) -> str:
        try:
            return os.readlink(self._link)
        except FileNotFoundError:
            return ""

    def _say(self, began: float) -> None:
        if not self._said and time.monotonic() - began > SAY_S:
            self._said = True
            print(f"note: another worker has {self._path} locked; if it is gone that ends in {BREAK_S:g} s", flush=True)


def _whole(file: Any) -> int:
    """Where the last whole line of a file ends."""
    end: int = file.seek(0, os.SEEK_END)
    step = 1 << 16
    while end:
        begin = max(0, end - step)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + int(found) + 1
        end = begin
    return 0
