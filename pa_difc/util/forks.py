"""Worker processes that are forked from a process which has imported their modules, and so are ready at once.

Only on Linux: elsewhere a process that has imported PyTorch can't be forked safely, and workers import for themselves.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .stops import SIGNALS, blocked

#: Longest path of a folder for sockets, in bytes: the system allows 107 for a socket, whose name is added.
_LONGEST = 70


@contextmanager
def replaced(mapping: MutableMapping[str, Any], values: Mapping[str, Any]) -> Iterator[None]:
    """Replaces some values of a mapping, such as environment variables, inside the block."""
    before = {key: mapping[key] for key in values if key in mapping}
    mapping.update(values)
    try:
        yield
    finally:
        for key in values:
            del mapping[key]
        mapping.update(before)


if TYPE_CHECKING or sys.platform == "linux":
    from multiprocessing import forkserver, resource_tracker
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    class _Process(ForkServerProcess):
        """A process with this one's environment variables, which doesn't run the command's script again.

        Args:
            env: further environment variables.
        """

        def __init__(self, *args: Any, env: Mapping[str, str] | None = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._environment = {**os.environ, **(env or {})}

        def run(self) -> None:
            os.environ.clear()  # those of the process that it was forked from are older
            os.environ.update(self._environment)
            super().run()

        @staticmethod
        def _Popen(process_obj: Any) -> Any:
            with replaced(sys.modules, {"__main__": ModuleType("__main__")}):
                try:
                    return ForkServerProcess._Popen(process_obj)
                except (EOFError, ConnectionError) as error:
                    raise BrokenProcessPool(f"the process that workers are forked from has ended ({error!r})") from None

    class _Context(ForkServerContext):
        Process = _Process  # type: ignore[assignment]


def get_ready(modules: Sequence[str], environment: Mapping[str, str]) -> Any:
    """Starts the process that workers are forked from, unless it runs already; it imports the modules meanwhile.

    Args:
        modules: what workers import.
        environment: environment variables of the workers; libraries read some of them on import.

    Returns:
        The context of multiprocessing that makes workers; None where there can be no such process. Workers ignore the
        signals sent to the whole process group.
    """
    if sys.platform != "linux":
        return None
    path = os.pathsep.join(filter(None, sys.path))  # not the working directory, whose files may be named like modules
    with replaced(os.environ, {**environment, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}):
        start_tracker()
        with blocked(*SIGNALS):
            if not start_server(modules):
                return None
    _ends_with(os.getpid(), vars(forkserver._forkserver)["_forkserver_pid"])
    return _Context()


def start_tracker() -> None:
    """Starts multiprocessing's process that removes the semaphores of killed processes; it says nothing of them.

    It unblocks signals.
    """
    quiet = filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker:UserWarning"])
    with replaced(os.environ, {"PYTHONWARNINGS": ",".join(quiet)}):
        resource_tracker.ensure_running()


def start_server(modules: Sequence[str]) -> bool:
    """Starts multiprocessing's fork server, unless it runs; returns False if it can't, as where sockets can't be made.

    Args:
        modules: what it imports.
    """
    forkserver.set_forkserver_preload(list(modules))
    before, tempfile.tempdir = tempfile.tempdir, tempfile.gettempdir()
    if len(os.fsencode(tempfile.tempdir)) > _LONGEST:
        tempfile.tempdir = "/tmp"
    try:
        forkserver.ensure_running()
    except OSError:
        return False
    finally:
        tempfile.tempdir = before
    return True


@cache
def _ends_with(owner: int, pid: int) -> None:
    """Kills the process at its owner's end: while it imports, it would keep the output's pipe open."""
    Finalize(None, _kill, (owner, pid), exitpriority=0)


def _kill(owner: int, pid: int) -> None:
    if os.getpid() == owner:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove_socket() -> None:
    """Removes, in a forked worker, the folder of the socket that its parent was killed before it could remove."""
    address = vars(forkserver._forkserver)["_forkserver_address"] if sys.platform == "linux" else None
    if address and Path(address).parent.name.startswith("pymp-"):
        shutil.rmtree(Path(address).parent, ignore_errors=True)


def parent_is_gone(pid: int) -> bool:
    """Whether the process with this id, which has started the current one, has ended."""
    parent = parent_process()
    if parent is not None and isinstance(parent.__dict__.get("_sentinel"), int):
        return not parent.is_alive()
    return os.getppid() != pid
