"""Makes output safe for terminals: escapes control characters, and replaces characters that the encoding lacks.

This is the only module that escapes for terminals. Tables for programs go through :mod:`.names`, pages through
:mod:`pa_difc.report.page`, and LaTeX through :mod:`pa_difc.report.latex`.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import shutil
import signal
import stat
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from .names import as_utf8
from .stops import OutputGone, because_of

#: ASCII replacements for our own special characters.
_ASCII = {
    "→": "->", "←": "<-", "–": "-", "—": "-", "−": "-", "±": "+/-", "×": "x", "⊗": "x", "·": "-", "…": "...",
    "Δ": "d", "ε": "epsilon", "α": "alpha", "β": "beta", "γ": "gamma", "η": "eta", "λ": "lambda", "σ": "sigma",
    "τ": "tau", "≥": ">=", "≤": "<=", "†": "*", "‡": "**", "§": "section ", "¶": "#", "✓": "+", "✗": "-",
    "“": '"', "”": '"', "’": "'", "\xa0": " ",
}  # fmt: skip

#: Characters that move the cursor, set colours, ring the bell or change the writing direction; not newlines and tabs.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: The same, except what draws progress bars.
_COMMANDS_BESIDE_BARS = re.compile("(?!\r|\x1b\\[A)" + _COMMANDS.pattern)

_GONE = {errno.EPIPE: "SIGPIPE", errno.EIO: "SIGHUP"}
_ERRORS = "pa_difc.ascii"
_WIDEST = 110  #: most letters in a line of prose


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letters = as_utf8(error.object[error.start : error.end])
    written = "".join(_ASCII.get(c, c).encode("ascii", "backslashreplace").decode() for c in letters)
    return written, error.end


codecs.register_error(_ERRORS, _in_ascii)


def harmless(text: str) -> str:
    r"""A text with terminal control characters escaped, as ``\x1b``."""
    return _COMMANDS.sub(_code, text)


def on_one_line(text: str) -> str:
    """A table's cell as standard output will show it, on one line, so that its width can be measured."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return harmless(" ".join(text.splitlines())).encode(encoding, _ERRORS).decode(encoding)


def wrapped(text: str, indent: int, stream: TextIO | None = None) -> str:
    """A line wrapped to the terminal's width, with further lines indented; unchanged for a pipe or a file.

    Args:
        text: one line.
        indent: spaces before every line but the first.
        stream: where it will be printed; None stands for standard output.
    """
    if not (stream or sys.stdout).isatty():
        return text
    rest = " " * indent
    width = max(indent + 20, shutil.get_terminal_size().columns - 1)
    return textwrap.fill(text, width, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)


def columns(most: int = sys.maxsize) -> int:
    """The columns available to a line: at most ``most``, and on a terminal no more than its width."""
    return min(most, shutil.get_terminal_size().columns - 1) if sys.stdout.isatty() else most


def filled(text: str, first: str = "", rest: str = "") -> str:
    """A text wrapped to the terminal's width, at most 110 columns, or 110 without a terminal; no word is cut.

    Args:
        text: words.
        first: prefix of the first line.
        rest: prefix of the other lines.
    """
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


@contextmanager
def guarded() -> Iterator[None]:
    """Escapes control characters on standard output and standard error within the block.

    Raises:
        OutputGone: from a print, once, when standard output is closed; later output is discarded.
    """
    before = sys.stdout, sys.stderr
    _open_standard_streams()
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # where a stream is closed, as by 2>&-
        sys.stdout = cast(TextIO, _Guarded(before[0] or nowhere, _COMMANDS, stops=True))
        sys.stderr = cast(TextIO, _Guarded(before[1] or nowhere, _COMMANDS_BESIDE_BARS, stops=False))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def _open_standard_streams() -> None:
    """Opens the null device for closed standard streams, whose numbers the next pipes and files would get instead."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(opened, number)
                os.close(opened)


def for_programs(stream: TextIO) -> TextIO:
    """A stream for a table that programs read: names are not escaped in it unless it is a terminal."""
    if isinstance(stream, _Guarded) and not stream.isatty():
        return cast(TextIO, _Guarded(stream.stream, None, stops=True))
    return stream


def _code(found: re.Match[str]) -> str:
    return found[0].encode("ascii", "backslashreplace").decode() if found[0] > "\x7f" else f"\\x{ord(found[0]):02x}"


class _Guarded:
    """A stream with a filter on what is written; everything else is passed on."""

    def __init__(self, stream: Any, commands: re.Pattern[str] | None, *, stops: bool) -> None:
        self.stream, self._commands, self._stops = stream, commands, stops

    def write(self, text: str) -> int:
        if self._commands is not None:
            text = self._commands.sub(_code, text)
        try:
            return int(self.stream.write(text) or 0)
        except OSError as error:
            return self._gone(error)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self._gone(error)

    def _gone(self, error: OSError) -> int:
        """Handles a closed output: discards later output, including that at the interpreter's exit."""
        if error.errno not in _GONE or (error.errno == errno.EIO and not self._is_terminal()):
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)
        if self._stops:
            if (number := getattr(signal, _GONE[error.errno], None)) is not None:
                because_of(number)
            raise OutputGone from None
        return 0

    def _is_terminal(self) -> bool:
        return stat.S_ISCHR(os.fstat(self.stream.fileno()).st_mode)  # isatty is False once the terminal is closed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
