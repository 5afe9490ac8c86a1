"""One process at a time writes a file or a folder; another one is told which process on which machine works there."""

from __future__ import annotations

import errno
import json
import os
import platform
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import UserError
from .files import refuse_links

#: Errors of file systems that have no locks: there is none then.
_NO_LOCKS = frozenset(getattr(errno, name) for name in ("ENOLCK", "ENOTSUP", "EOPNOTSUPP") if hasattr(errno, name))


class Lock:
    """The right to write something, held by one process at a time; a killed process holds none.

    Args:
        file: the lock's file.
        owner: a file beside it that says who holds it.
        what: is written, for the error, such as "this store".
        where: it lies, for the error.

    Raises:
        UserError: another process holds it, or the file can't be made.
    """

    def __init__(self, file: Path, owner: Path, *, what: str, where: Path) -> None:
        refuse_links(file, owner, instead="another --out")
        self._file, self._owner = file, owner
        self._lock = FileLock(file, timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            who = f"{self._holder()} is writing {what}"
            raise UserError(f"{where}: {who}; wait for it, or give another --out") from None
        except NotImplementedError:  # how filelock says that a file system has no locks
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise UserError(f"cannot write {where}: {error.strerror or error}") from None
        self._held = True
        said = {"process": os.getpid(), "machine": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M}"}
        with suppress(OSError):  # it is there to be read, and holds nothing up
            owner.write_text(json.dumps(said))

    def release(self, *, keep_file: bool = False) -> None:
        """Lets it go, once or several times; its files are removed."""
        if not self._held:
            return
        self._held = False
        self._owner.unlink(missing_ok=True)
        if not keep_file:
            self._file.unlink(missing_ok=True)
        self._lock.release()

    def _holder(self) -> str:
        try:
            said = json.loads(self._owner.read_text())
            return f"process {said['process']} on {said['machine']} (since {said['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
