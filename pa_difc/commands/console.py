"""What commands say at their end: errors on one line, and exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from ..util.errors import Stopped, UserError


def exit_with(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 2 and one line for what the user can mend, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that is not text here, as on Linux any bytes may be one
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
    except UserError as error:
        code = _say_error(str(error))
    except BrokenPipeError:  # what was printed to is gone, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:  # a full or broken disk, a file or folder that may not be read or written
        place = f"{error.filename}: " if error.filename is not None else ""
        code = _say_error(f"{place}{error.strerror or error}")
    except Stopped as stop:
        print(f"{stop}. Go on with the same command.", file=sys.stderr)
        code = 130
    except KeyboardInterrupt:
        print("stopped. The same command begins it again; runs that are done are kept.", file=sys.stderr)
        code = 130
    sys.exit(code)


def _say_error(text: str) -> int:
    """Prints an error on one line, however much of a file it quotes; returns the exit code."""
    line = " ".join(text.splitlines())
    print("error: " + (line if len(line) <= 1000 else f"{line[:1000]}…"), file=sys.stderr)
    return 2
