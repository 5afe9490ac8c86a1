"""Code that runs in a cluster's workers: it starts a process for each thread, and watches it.

Cells train in processes of their own, because torch's random numbers, printed output and plugins are per process, and a
cluster's worker outlives the code that it has loaded. Nothing here loads torch.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.process import package_digest

#: Seconds between two checks of whether the result is still wanted.
_LOOK_S = 0.5

#: Number of bytes that hold an answer's length.
HEAD = 8

#: The processes of this worker, by the grid's file and the thread's number.
_children: dict[tuple[str, int], subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Seen:
    """A cluster worker's host, version and code, and the files it doesn't see."""

    host: str
    version: str
    code: str
    missing: tuple[str, ...]


def look_around(go: str, word: str, files: Collection[str]) -> Seen:
    """Describes this worker.

    Args:
        go: the grid's file; it holds a word that tells it from another machine's file of the same name.
        word: that word.
        files: further files that must exist.
    """
    from ..util.version import VERSION

    missing = [file for file in files if not Path(file).exists()]
    try:
        seen = Path(go).read_text() == word
        tempfile.TemporaryFile(dir=Path(go).parent).close()
    except OSError:
        seen = False
    return Seen(platform.node(), VERSION, package_digest(), (*(() if seen else (go,)), *missing))


def in_child(go: str, number: int, cwd: str, environment: Mapping[str, str], call: bytes) -> bytes:
    """Sends a pickled call to this thread's process, and returns its pickled answer.

    Args:
        go: the grid's file.
        number: the thread's number on this worker.
        cwd: the command's working directory, for relative paths; ignored if it doesn't exist here.
        environment: environment variables to add.
        call: see :mod:`.child`.

    Raises:
        BrokenProcessPool: the process was killed, or its result is no longer wanted.
    """
    child = _children.get((go, number))
    if child is None or child.poll() is not None:
        for key in [key for key, other in _children.items() if other.poll() is not None]:
            _end(_children.pop(key))
        child = _children[go, number] = _started(go, cwd, environment)
    assert child.stdin and child.stdout
    try:
        child.stdin.write(call)
        child.stdin.flush()
        while not select.select([child.stdout], [], [], _LOOK_S)[0]:
            if not _wanted():
                raise EOFError
        head = child.stdout.read(HEAD)
        answer = child.stdout.read(int.from_bytes(head, "big"))
        if len(head) < HEAD or len(answer) < int.from_bytes(head, "big"):
            raise EOFError
        return answer
    except (OSError, EOFError):
        _children.pop((go, number), None)
        raise BrokenProcessPool(f"a process on {platform.node()} was lost ({_end(child)})") from None


def _started(go: str, cwd: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts a process with this one's module path, in a session of its own so that it gets no Ctrl-C."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from pa_difc.training.child import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, go, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=cwd if Path(cwd).is_dir() else None,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes]) -> str:
    """Kills a process, and says how it ended."""
    child.kill()
    code = child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with suppress(OSError):  # a partly written call may be in its buffer
                pipe.close()
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _wanted() -> bool:
    """Whether the scheduler still wants this thread's result; it doesn't once the command was killed."""
    from distributed import get_worker

    worker: Any = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state in ("executing", "long-running")
