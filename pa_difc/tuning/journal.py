"""A journal file that a killed worker can't corrupt."""

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

#: Seconds after which a lock held on another machine, or by a paused process, is broken; and after which a waiting
#: worker prints a note.
BREAK_S, SAY_S = 30.0, 3.0

#: The end of a link whose holder doesn't have the system's lock.
_UNSURE = "-alone"


class Journal(JournalFileBackend):
    """optuna's journal file, without the incomplete line that a killed worker may leave.

    Such a line is removed before the next one is added: its write was never confirmed, and with another line behind it
    the file could not be read any more.

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
        """Adds all of the lines, or none."""
        added = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._writer, open(self._file_path, "r+b") as whole, open(self._file_path, "ab") as file:
            end = _whole(whole)
            if end < file.tell() and self._writer.is_held():
                whole.truncate(end)
            try:
                file.write(added)  # at the end, also if another worker broke this one's lock and has added lines
                file.flush()
                os.fsync(file.fileno())
            except OSError:  # such as a full disk: leave no incomplete line
                if self._writer.is_held():
                    with suppress(OSError):
                        os.truncate(self._file_path, end)
                raise


class JournalLock:
    """The lock of a journal: a symbolic link between machines, and a system lock between one machine's processes.

    The system releases its lock when a process is killed. Its next holder then knows that a link made on this machine
    is stale. For a link made on another machine it can only wait.

    Args:
        path: of the journal.
    """

    def __init__(self, path: str) -> None:
        self._link, self._path = f"{path}.lock", path
        self._local = FileLock(f"{path}.local.lock")
        self._said = self._without_local = False
        self._me = ""

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Waits until this process holds the lock."""
        began = time.monotonic()
        seen, since = self._holder(), began
        sure = self._acquire_local(began)
        if os.name == "nt":  # on Windows links need special rights, and system locks work on shared folders
            return
        self._me = f"{machine_name()}/{os.getpid()}-{secrets.token_hex(4)}{'' if sure else _UNSURE}"
        while True:
            try:
                os.symlink(self._me, self._link)
                return
            except FileExistsError:
                holder = self._holder()
            if holder != seen:
                seen, since = holder, time.monotonic()
            stale = sure and holder.rpartition("/")[0] == machine_name() and not holder.endswith(_UNSURE)
            if holder and (stale or time.monotonic() - since > BREAK_S) and holder == self._holder():
                with suppress(FileNotFoundError):
                    os.unlink(self._link)
                continue
            self._say(began)
            time.sleep(0.01)

    def is_held(self) -> bool:
        """Whether no other worker has broken the lock, as it may while this one is paused."""
        return os.name == "nt" or self._holder() == self._me

    def release(self) -> None:
        """Releases the lock, unless another worker has broken it."""
        if os.name != "nt" and self.is_held():
            with suppress(FileNotFoundError):
                os.unlink(self._link)
        self._local.release()

    def _acquire_local(self, began: float) -> bool:
        """Takes the system's lock; False if the file system has none, or a paused process holds it."""
        waits = ((0.0, 0.005),) if self._without_local else ((SAY_S, 0.005), (BREAK_S, 0.05))
        for timeout, poll in waits:
            with suppress(Timeout, NotImplementedError):
                self._local.acquire(timeout=timeout, poll_interval=poll)
                self._without_local = False
                return True
            self._say(began)
        self._without_local = True  # a process that is paused for long must not delay every line
        return False

    def _holder(self) -> str:
        try:
            return os.readlink(self._link)
        except FileNotFoundError:
            return ""

    def _say(self, began: float) -> None:
        if not self._said and time.monotonic() - began > SAY_S:
            self._said = True
            print(
                f"note: another worker has {self._path} locked; if it is gone, this ends in {BREAK_S:g} s", flush=True
            )


def _whole(file: Any) -> int:
    """The position after a file's last complete line."""
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
