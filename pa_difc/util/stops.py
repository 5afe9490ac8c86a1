"""Treats SIGTERM, SIGHUP and a closed output pipe like Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn

#: Signals that ask a command to end: Ctrl-C, a batch system's, and a closed terminal's.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

#: Seconds after a signal in which further ones are ignored: for a closed terminal the shell and the system each send
#: one, and the second must not interrupt saving.
PATIENCE_S = 10.0

#: The same for Ctrl-C: the exception of a second one would leave what the first one's clears away, such as workers.
IMPATIENCE_S = 1.0

#: Seconds after which a stop that Python dropped is sent again.
_AGAIN_S = 0.1


class OutputGone(KeyboardInterrupt):
    """Nobody reads the output any more, as after ``| head`` or when a terminal is closed."""


class _Came:
    number: int | None = None
    at = 0.0


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP act like Ctrl-C within the block, and several quick Ctrl-C like one.

    An ignored signal, as SIGHUP under nohup, stays ignored, and a signal with a handler keeps it.
    """
    _Came.number = None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = {number: signal.getsignal(number) for number in SIGNALS}
    ours = {number: by for number, by in ours.items() if by in (signal.SIG_DFL, signal.default_int_handler)}
    for number in ours:
        signal.signal(number, on_signal)
    before = sys.unraisablehook
    sys.unraisablehook = partial(_unraisable, before)
    try:
        yield
    finally:
        sys.unraisablehook = before
        for number, by in ours.items():
            signal.signal(number, by)


def end_within(seconds: float) -> None:
    """From now on, a signal ends this process after so many seconds even if it is waiting in a library call.

    Python's own handlers run only after such a call returns.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(read, write, seconds), daemon=True).start()


def _end(read: socket.socket, write: socket.socket, seconds: float) -> None:
    """Waits for a signal, then ends the process; holds ``write`` so that it is not closed."""
    while (number := read.recv(1)[0]) not in SIGNALS:
        pass
    time.sleep(seconds)
    os.write(2, f"stopped: it waited for another process for {seconds:g} s. Resume with the same command.\n".encode())
    os._exit(128 + number)


@contextmanager
def blocked(*signals: int) -> Iterator[None]:
    """Blocks signals inside the block; processes started there inherit that and never get them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def because_of(number: int) -> None:
    """Notes the signal that ends a command, for its exit code."""
    _Came.number = number


def exit_code() -> int:
    """128 + the number of the noted signal, or of Ctrl-C's if none was noted."""
    return 128 + (_Came.number or signal.SIGINT)


def interrupt() -> NoReturn:
    """Raises KeyboardInterrupt; a Ctrl-C within the next second is part of this one, see :data:`IMPATIENCE_S`."""
    _Came.number, _Came.at = _Came.number or signal.SIGINT, time.monotonic()
    raise KeyboardInterrupt


def on_signal(number: int, frame: FrameType | None) -> None:
    """The handler within :func:`like_ctrl_c`."""
    now = time.monotonic()
    patience = IMPATIENCE_S if signal.SIGINT in (number, _Came.number) else PATIENCE_S
    if _Came.number is not None and now - _Came.at < patience:
        return
    ctrl_c = signal.getsignal(signal.SIGINT)
    if ctrl_c is on_signal or not callable(ctrl_c):  # a shell's background job ignores Ctrl-C, but no other signal
        _Came.number = number
        interrupt()
    _Came.number, _Came.at = number, now
    ctrl_c(signal.SIGINT, frame)  # may defer the stop, as while a study's storage is written


def _unraisable(before: Callable[[Any], Any], dropped: Any) -> None:
    """Resends a stop that came while a finaliser ran, where Python prints exceptions and drops them.

    Such places are ``__del__``, and callbacks of weak references and the garbage collector.
    """
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        before(dropped)
    elif not issubclass(dropped.exc_type, OutputGone):  # the next print will raise that again
        number, _Came.number = _Came.number or signal.SIGINT, None  # so that it is heard again
        threading.Timer(_AGAIN_S, signal.raise_signal, (number,)).start()
