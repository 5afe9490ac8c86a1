"""Ctrl-C in a study: at once while a trial computes, after the write while its storage is written."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from types import FrameType, TracebackType

#: After so many seconds of waiting, another Ctrl-C comes through: a database that hangs must not make us deaf.
PATIENCE_S = 10.0


def deferred() -> AbstractContextManager[None]:
    """Ctrl-C waits for the end of the block, and is raised there.

    Storages and drivers don't survive an exception between any two of their lines: a trial that was told its value
    would stay RUNNING, or another exception would take the place of this one.

    Raises:
        KeyboardInterrupt: at the block's end, if Ctrl-C was pressed within it.
    """
    return _Handler(at_once=False) if _heard() else nullcontext()


def interruptible() -> AbstractContextManager[None]:
    """Within :func:`deferred`, a block that Ctrl-C stops at once.

    Raises:
        KeyboardInterrupt: at the block's begin, if Ctrl-C has been waiting; within it; and at its end, if it was
            pressed where Python drops exceptions (a finaliser).
    """
    return _Handler(at_once=True) if _heard() else nullcontext()


def _heard() -> bool:
    """Whether Ctrl-C raises here: it doesn't in a job of a shell's background, nor outside the main thread.

    Signals that are like Ctrl-C call the same handler; see :mod:`pa_difc.util.stops`.
    """
    handler = signal.getsignal(signal.SIGINT)
    ours = handler is signal.default_int_handler or isinstance(handler, _Handler)
    return ours and threading.current_thread() is threading.main_thread()


class _Handler:
    """What happens at SIGINT while a block runs; the handler before it is put back after it."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._came: float | None = None  # when Ctrl-C was pressed first

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self._came = self._came or now
        if self._at_once or now - self._came > PATIENCE_S:
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        outer = signal.getsignal(signal.SIGINT)
        if self._at_once and isinstance(outer, _Handler) and outer._came:
            raise KeyboardInterrupt
        self._before = signal.signal(signal.SIGINT, self)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._came and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt
