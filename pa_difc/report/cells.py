"""Texts in the cells of a CSV that may be opened in a spreadsheet."""

from __future__ import annotations

from ..util.names import escaped

#: Spreadsheets take what begins so for a formula, and run it.
_FORMULA = ("=", "+", "-", "@")
_MARK = "'"
#: Characters that end a cell or a line for some reader, written as bytes that are not UTF-8 are.
_BREAKS = str.maketrans({mark: f"\\x{ord(mark):02x}" for mark in "\t\n\v\f\r"})


def safe_cell(text: str) -> str:
    r"""A text that no spreadsheet runs: an apostrophe before what would be a formula, line breaks as ``\x0a``.

    See also :func:`.escaped`.
    """
    text = escaped(text).translate(_BREAKS)
    return f"{_MARK}{text}" if text.startswith(_FORMULA) else text


def plain_cell(text: str) -> str:
    """A text without the apostrophe that :func:`safe_cell` puts before it."""
    return text[1:] if text.startswith(_MARK) and text[1:].startswith(_FORMULA) else text
