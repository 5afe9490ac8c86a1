"""Ctrl-C in a study: at once while a trial computes, after the write while its storage is written."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType, TracebackType

#: After so many seconds of waiting, another Ctrl-C comes through: a database that hangs must not make us deaf.
PATIENCE_S = 10.0

#: What may be Ctrl-C; Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


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


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP, by which schedulers and closed terminals end jobs, are Ctrl-C."""
    main = threading.current_thread() is threading.main_thread()
    free = [number for number in _SIGNALS if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_DFL]
    before = {number: signal.signal(number, signal.default_int_handler) for number in free if main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard() -> list[int]:
    """The signals that raise here: not Ctrl-C in a job of a shell's background, and none beside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return []
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    return [n for n, own in handlers.items() if own is signal.default_int_handler or isinstance(own, _Handler)]


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
        before = {number: signal.getsignal(number) for number in _heard()}
        if self._at_once and any(isinstance(own, _Handler) and own._came for own in before.values()):
            raise KeyboardInterrupt
        self._before = {number: signal.signal(number, self) for number in before}

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._came and not isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt
