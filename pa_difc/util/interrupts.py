"""Ctrl-C where work must not be left half done: it waits for the end of a block, or acts at once in parts of it."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

from .stops import interrupt, on_signal

#: Seconds of waiting after which another Ctrl-C acts at once, in case a database or disk hangs.
PATIENCE_S = 10.0


def deferred() -> Interrupts:
    """Defers Ctrl-C to the end of the block, and raises it there.

    Storages and drivers do not survive an exception at an arbitrary line: a trial that was told its value would stay
    RUNNING, or another exception would replace this one. Nor does the clearing away of workers and their folders.

    Returns:
        A context manager, whose ``came`` says whether Ctrl-C was pressed within the block.

    Raises:
        KeyboardInterrupt: at the block's end, if Ctrl-C was pressed within it.
    """
    return Interrupts(at_once=False)


def interruptible() -> Interrupts:
    """Lets Ctrl-C stop a block at once, within :func:`deferred`.

    Raises:
        KeyboardInterrupt: at the block's start, if Ctrl-C was deferred; within it; or at its end, if Ctrl-C was pressed
            where Python drops exceptions (in a finaliser).
    """
    return Interrupts(at_once=True)


def _heard() -> bool:
    """Whether Ctrl-C raises here: it does not in a shell's background job, nor outside the main thread.

    Signals that count as Ctrl-C call the same handler; see :mod:`pa_difc.util.stops`.
    """
    handler = signal.getsignal(signal.SIGINT)
    ours = handler in (signal.default_int_handler, on_signal) or isinstance(handler, Interrupts)
    return ours and threading.current_thread() is threading.main_thread()


class Interrupts:
    """A SIGINT handler for a block; the previous handler is restored after it."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._at: float | None = None  # time of the first Ctrl-C

    @property
    def came(self) -> bool:
        """Whether Ctrl-C was pressed within the block so far."""
        return self._at is not None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self._at = self._at or now
        if self._at_once or now - self._at > PATIENCE_S:
            interrupt()

    def __enter__(self) -> Interrupts:
        self._heard = _heard()
        if self._heard:
            outer = signal.getsignal(signal.SIGINT)
            if self._at_once and isinstance(outer, Interrupts) and outer.came:
                interrupt()
            self._before = signal.signal(signal.SIGINT, self)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._heard:
            signal.signal(signal.SIGINT, self._before)
        if self.came and not isinstance(error, KeyboardInterrupt):
            interrupt()
