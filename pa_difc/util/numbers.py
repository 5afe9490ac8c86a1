"""Numbers as people read them."""

from __future__ import annotations


def signed(value: float, digits: int = 1) -> str:
    """With its sign, "+0.3" or "-1.2"; what rounds to nothing is "+0.0"."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"
