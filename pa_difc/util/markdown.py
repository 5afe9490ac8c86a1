"""Escapes names for Markdown; the only module that does."""

from __future__ import annotations

import re
from pathlib import Path

from .files import write_text
from .numbers import with_minus
from .terminal import harmless

_TAG = re.compile("<(?=[A-Za-z/!?])")


def markdown_cell(text: str) -> str:
    """A text escaped for a cell of a Markdown table, with minus signs."""
    return with_minus(" ".join(text.splitlines())).replace("|", "\\|").replace("<", "&lt;")


def write_markdown(path: Path, text: str) -> None:
    """Writes a Markdown page, with HTML tags and terminal control characters from names escaped, and minus signs.

    Raises:
        UserError: the file can't be written.
    """
    write_text(path, _without_html(text))


def _typeset(line: str) -> str:
    """A line of prose or of a table; code between backticks has no minus signs."""
    parts = _TAG.sub("&lt;", line).split("`")
    parts[::2] = map(with_minus, parts[::2])
    return "`".join(parts)


def _without_html(text: str) -> str:
    lines, code = [], False
    for line in harmless(text).split("\n"):
        code ^= line.startswith("```")
        lines.append(line if code else _typeset(line))
    return "\n".join(lines)
