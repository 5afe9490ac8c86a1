"""Formats numbers for people."""

from __future__ import annotations


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, such as "+0.3" or "-1.2"; one that rounds to zero is "+0.0"."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"
