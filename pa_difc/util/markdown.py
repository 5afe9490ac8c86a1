"""Escapes names for Markdown; the only module that does."""

from __future__ import annotations

import re
from pathlib import Path

from .files import write_text
from .terminal import harmless

_TAG = re.compile("<(?=[A-Za-z/!?])")


def markdown_cell(text: str) -> str:
    """A text escaped for a cell of a Markdown table."""
    return " ".join(text.splitlines()).replace("|", "\\|").replace("<", "&lt;")


def write_markdown(path: Path, text: str) -> None:
    """Writes a Markdown page, with HTML tags and terminal control characters from names escaped.

    Raises:
        UserError: the file can't be written.
    """
    write_text(path, _without_html(text))


def _without_html(text: str) -> str:
    lines, code = [], False
    for line in harmless(text).split("\n"):
        code ^= line.startswith("```")
        lines.append(line if code else _TAG.sub("&lt;", line))
    return "\n".join(lines)
