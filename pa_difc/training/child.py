"""The process that a cluster's worker starts for each of its threads; it answers one call at a time."""

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

#: Seconds without work after which the process ends.
_IDLE_S = 60.0

#: Seconds between two checks of whether to end.
_LOOK_S = 1.0


class _State:
    idle_since: float | None = None


def main() -> None:
    """Answers calls from standard input until that ends: pickled work, setup, cell, title and progress file.

    Answers go to the original standard output: the length, then the pickled result and error.
    """
    go, parent = Path(sys.argv[1]), int(sys.argv[2])
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # other output goes to the worker's log
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
    """Ends the process when its parent is gone or, if idle, when the grid has ended or for lack of work."""
    while True:
        time.sleep(_LOOK_S)
        since = _State.idle_since
        idle = since is not None and (time.monotonic() - since > _IDLE_S or not goes_on(go))
        if idle or os.getppid() != parent:
            os._exit(0)
