"""Checks the arguments that a caller in Python gives."""

from __future__ import annotations

import os
from operator import index
from pathlib import Path
from sys import maxsize
from typing import Any

from ..util.errors import UserError


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """A whole number from a value of any integer type.

    Args:
        name: of the argument, for the error.
        value: what was given.
        low, high: the range; without ``high``, there is no other limit than the machine's.

    Raises:
        UserError: the value is no whole number, or out of range.
    """
    try:
        found = None if isinstance(value, bool) else index(value)
    except TypeError:
        found = None
    if found is None or not low <= found <= (maxsize if high is None else high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise UserError(f"{name}={value!r:.80}: must be a whole number {limits}")
    return found


def path_of(name: str, value: Any, also: str = "") -> Path:
    """A path from a text or a path.

    Args:
        name: of the argument, for the error.
        value: what was given.
        also: what else would be right, for the error, such as ", or a camera's number".

    Raises:
        UserError: the value is neither, or empty.
    """
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str) and os.fspath(value):
        return Path(value)
    raise UserError(f"{name}={value!r:.80}: must be a path, as text or a Path{also}")


def text(name: str, value: Any) -> str:
    """A text.

    Raises:
        UserError: the value is something else.
    """
    if isinstance(value, str):
        return value
    raise UserError(f"{name}={value!r:.80}: must be text")
