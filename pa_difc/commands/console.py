"""What commands say at their end: errors on one line, and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

from ..util.errors import Stopped, UserError, is_of_memory
from ..util.stops import OutputGone, exit_code, like_ctrl_c
from ..util.terminal import guarded


def exit_with(main: Callable[[], int | None]) -> None:
    """Runs a command and exits.

    The code is 2, after one line, for what the user can mend; 128 and the number of a signal for what ended it: 130
    after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 141 if nobody reads the output any more.
    """
    with guarded(), like_ctrl_c():
        sys.exit(_code_of(main))


def _code_of(main: Callable[[], int | None]) -> int:
    try:
        code = main() or 0
        sys.stdout.flush()  # that nobody reads it is noticed here, not at the interpreter's end
        return code
    except UserError as error:
        return _say_error(str(error))
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_of_memory(error):
            raise
        return _say_error(f"too little memory: {error or type(error).__name__}")
    except OSError as error:  # a full or broken disk, a file or folder that may not be read or written
        place = f"{error.filename}: " if error.filename is not None else ""
        return _say_error(f"{place}{error.strerror or error}")
    except Stopped as stop:
        _say(f"{stop}. Resume with the same command.")
    except OutputGone:  # as `pa-difc list | head` ends: nothing is lost
        pass
    except KeyboardInterrupt:
        _say("stopped. Rerun the command to start again; finished runs are kept.")
    return exit_code()


def _say_error(text: str) -> int:
    """Prints an error on one line, however much of a file it quotes; returns the exit code."""
    line = " ".join(text.splitlines())
    _say("error: " + (line if len(line) <= 1000 else f"{line[:1000]}…"))
    return 2


def _say(line: str) -> None:
    with suppress(OSError):  # a terminal may be gone
        print(line, file=sys.stderr)
