"""What ends a command from outside: SIGTERM, SIGHUP and an output that nobody reads any more are like Ctrl-C."""

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
from typing import Any

#: Signals that ask a command to end: of a terminal, of a batch system, and of a terminal that is closed.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

#: For so many seconds after a signal another one changes nothing: a shell and the system each send one for a terminal
#: that is closed, and what is being kept must not be cut off by the second.
PATIENCE_S = 10.0

#: After so many seconds a stop that Python has dropped is sent again.
_AGAIN_S = 0.1


class OutputGone(KeyboardInterrupt):
    """Nobody reads what is printed any more, as after ``| head`` or when a terminal was closed."""


class _Came:
    number: int | None = None
    at = 0.0


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP do what Ctrl-C does.

    One that is ignored, as SIGHUP is below nohup, stays ignored; one that the caller handles stays the caller's.
    """
    _Came.number = None
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in SIGNALS[1:] if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _stop)
    before = sys.unraisablehook
    sys.unraisablehook = partial(_unraisable, before)
    try:
        yield
    finally:
        sys.unraisablehook = before
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def end_within(seconds: float) -> None:
    """From now on a signal ends this process after so many seconds even if it waits in a library, as for another one.

    Python's own handlers run only when the library's call returns.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(read, write, seconds), daemon=True).start()


def _end(read: socket.socket, write: socket.socket, seconds: float) -> None:
    """``write`` is only held: it would be closed otherwise."""
    while (number := read.recv(1)[0]) not in SIGNALS:
        pass
    time.sleep(seconds)
    os.write(2, f"stopped: it waited for another process for {seconds:g} s. Resume with the same command.\n".encode())
    os._exit(128 + number)


def because_of(number: int) -> None:
    """Notes the signal that a command ends by, for its exit code."""
    _Came.number = number


def exit_code() -> int:
    """128 and the number of the signal that came; of Ctrl-C if none was noted."""
    return 128 + (_Came.number or signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _Came.number is not None and now - _Came.at < PATIENCE_S:
        return
    _Came.number, _Came.at = number, now
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c):  # while a study's storage is written it waits
        ctrl_c(signal.SIGINT, frame)
    else:  # a shell's background job ignores Ctrl-C, and not this
        raise KeyboardInterrupt


def _unraisable(before: Callable[[Any], Any], dropped: Any) -> None:
    """Sends a stop again that came while a finaliser ran: Python prints what is raised there, and goes on.

    ``__del__``, callbacks of weak references and of the garbage collector are such places.
    """
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        before(dropped)
    elif not issubclass(dropped.exc_type, OutputGone):  # which the next print meets again
        number, _Came.number = _Came.number or signal.SIGINT, None
        threading.Timer(_AGAIN_S, signal.raise_signal, (number,)).start()
