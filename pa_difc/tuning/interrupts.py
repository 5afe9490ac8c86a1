"""Ctrl-C in a study: it acts at once while a trial computes, but only after the write while the storage is written."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from types import FrameType, TracebackType

#: Seconds of waiting after which another Ctrl-C acts at once, in case a database hangs.
PATIENCE_S = 10.0


def deferred() -> AbstractContextManager[None]:
    """Defers Ctrl-C to the end of the block, and raises it there.

    Storages and drivers do not survive an exception at an arbitrary line: a trial that was told its value would stay
    RUNNING, or another exception would replace this one.

    Raises:
        KeyboardInterrupt: at the block's end, if Ctrl-C was pressed within it.
    """
    return _Handler(at_once=False) if _heard() else nullcontext()


def interruptible() -> AbstractContextManager[None]:
    """Lets Ctrl-C stop a block at once, within :func:`deferred`.

    Raises:
        KeyboardInterrupt: at the block's start, if Ctrl-C was deferred; within it; or at its end, if Ctrl-C was pressed
            where Python drops exceptions (in a finaliser).
    """
    return _Handler(at_once=True) if _heard() else nullcontext()


def _heard() -> bool:
    """Whether Ctrl-C raises here: it does not in a shell's background job, nor outside the main thread.

    Signals that count as Ctrl-C call the same handler; see :mod:`pa_difc.util.stops`.
    """
    handler = signal.getsignal(signal.SIGINT)
    ours = handler is signal.default_int_handler or isinstance(handler, _Handler)
    return ours and threading.current_thread() is threading.main_thread()


class _Handler:
    """A SIGINT handler for a block; the previous handler is restored after it."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._came: float | None = None  # time of the first Ctrl-C

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
