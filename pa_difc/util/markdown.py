"""Markdown in which a name is no more than a name: the one place that escapes for it."""

from __future__ import annotations

import re
from pathlib import Path

from .files import write_text
from .terminal import harmless

_TAG = re.compile("<(?=[A-Za-z/!?])")


def markdown_cell(text: str) -> str:
    """A text that a table of Markdown shows as it is, whatever a class or a dataset is called."""
    return " ".join(text.splitlines()).replace("|", "\\|").replace("<", "&lt;")


def write_markdown(path: Path, text: str) -> None:
    """Writes a page of Markdown that has no HTML in it, whatever names are, and nothing that commands a terminal.

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
