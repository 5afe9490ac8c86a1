"""A process that a cluster's worker starts for one of its threads: calls come in, results go out, one at a time."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from .on_cluster import HEAD
from .worker import goes_on

#: Seconds after which a process ends that nobody gives any work.
_IDLE_S = 60.0

#: Seconds between two looks at whether to end.
_LOOK_S = 1.0


class _State:
    idle_since: float | None = None


def main() -> None:
    """Does what comes through standard input until that ends: pickled work, setup, cell, title and progress file.

    What comes of it goes to standard output, as it was when the process began: the length, then result and error,
    pickled.
    """
    go, parent = Path(sys.argv[1]), int(sys.argv[2])
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints past us prints into the worker's log
    threading.Thread(target=_watch, args=(go, parent), daemon=True).start()
    while True:
        _State.idle_since = time.monotonic()
        try:
            work, setup, *more = pickle.load(calls)
        except EOFError:
            return
        _State.idle_since = None
        answer = _answer(work, replace(setup, parent=parent), more)
        answers.write(len(answer).to_bytes(HEAD, "big") + answer)
        answers.flush()


def _answer(work: object, setup: object, more: list[object]) -> bytes:
    try:
        return pickle.dumps((work(setup, *more), None))  # type: ignore[operator]
    except BaseException as error:
        try:
            return pickle.dumps((None, error))
        except Exception:
            return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))


def _watch(go: Path, parent: int) -> None:
    """Ends the process when its parent is gone, or there is nothing more to do; work is stopped elsewhere."""
    while True:
        time.sleep(_LOOK_S)
        since = _State.idle_since
        idle = since is not None and (time.monotonic() - since > _IDLE_S or not goes_on(go))
        if idle or os.getppid() != parent:
            os._exit(0)
