"""How commands end: errors on one line, and exit codes."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..util.errors import ModelWarning, Stopped, UserError, is_of_memory
from ..util.stops import OutputGone, exit_code, like_ctrl_c
from ..util.terminal import guarded, wrapped
from ..util.threads import sleep_soon


def exit_with(main: Callable[[], int | None]) -> None:
    """Runs a command and exits with its code.

    An error that the user can mend is printed on one line and gives 2. A command ended by a signal gives 128 + the
    signal's number: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. A closed output pipe gives 141.
    """
    sleep_soon()
    with guarded(), like_ctrl_c(), _warnings_on_one_line():
        code = _code_of(main)
        _at_the_end(signal.signal, signal.SIGINT, signal.SIG_IGN)  # another Ctrl-C would print tracebacks
        sys.exit(code)


#: As ``atexit.register``, for when the interpreter begins to end: before it waits for threads, as loky's do.
_at_the_end: Callable[..., Any] = getattr(threading, "_register_atexit", atexit.register)


@contextmanager
def _warnings_on_one_line() -> Iterator[None]:
    """Shows warnings about a model always, and without the line of code that they come from."""
    before = warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ModelWarning):
            _say(wrapped(f"warning: {message}", 2, sys.stderr))
        else:
            before(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ModelWarning)
        warnings.showwarning = shown
        yield


def _code_of(main: Callable[[], int | None]) -> int:
    try:
        code = main() or 0
        sys.stdout.flush()  # a closed pipe is noticed here, not when the interpreter exits
        return code
    except UserError as error:
        return _say_error(str(error))
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_of_memory(error):
            raise
        or_else = " or too many processes (ulimit -u)" if "thread" in str(error) else ""
        return _say_error(f"too little memory{or_else}: {str(error) or type(error).__name__}")
    except OSError as error:  # a full or broken disk, or missing permission
        place = f"{error.filename}: " if error.filename is not None else ""
        return _say_error(f"{place}{error.strerror or error}")
    except Stopped as stop:
        _say(f"{stop}. {stop.hint}".rstrip())
    except OutputGone:  # as after `pa-difc list | head`: nothing is lost
        pass
    except KeyboardInterrupt:
        _say("stopped. Rerun the command to start again; finished runs are kept.")
    return exit_code()


def _say_error(text: str) -> int:
    """Prints an error on one line of at most 1000 characters; returns the exit code."""
    line = " ".join(text.splitlines())
    _say("error: " + (line if len(line) <= 1000 else f"{line[:1000]}…"))
    return 2


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be closed
        print(line, file=sys.stderr)
