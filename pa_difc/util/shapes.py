"""Validates the structure of plain values from a file before they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any


@dataclass(frozen=True)
class Leaf:
    """The requirement on a single value, in words and as a test."""

    about: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


TEXT = Leaf("text", lambda v: isinstance(v, str))
FLAG = Leaf("true or false", lambda v: isinstance(v, bool))
NUMBER = Leaf("a finite number", _is_number)
SHARE = Leaf("a number in [0, 1]", lambda v: _is_number(v) and 0 <= v <= 1)
COUNT = Leaf("a whole number of at least 0", lambda v: _is_number(v) and isinstance(v, int) and v >= 0)
ANY = Leaf("anything", lambda _: True)


def one_of(*values: Any) -> Leaf:
    """A leaf that accepts some values only."""
    return Leaf(f"one of {', '.join(map(repr, values))}", lambda v: any(type(v) is type(w) and v == w for w in values))


def either(*leaves: Leaf) -> Leaf:
    """A leaf that accepts what any of several leaves accepts."""
    return Leaf(" or ".join(leaf.about for leaf in leaves), lambda v: any(leaf.fits(v) for leaf in leaves))


NOTHING = Leaf("null", lambda v: v is None)

#: A leaf; a dict of required keys ("key?" for optional ones); a list of any length; or an item's shape and a length.
Shape = Leaf | dict[str, Any] | list[Any] | tuple[Any, int]


def mismatch(value: Any, shape: Shape, where: str = "") -> str | None:
    """The first mismatch of a value and a shape, such as "scores.target.recall[3] is 'x', must be …"; None if it fits.

    Args:
        value: plain values, as from JSON.
        shape: see :data:`Shape`.
        where: the path of ``value`` within the whole.
    """
    if isinstance(shape, Leaf):
        return None if shape.fits(value) else f"{where or 'it'} is {_short(value)}, must be {shape.about}"
    if isinstance(shape, dict):
        return _mismatch_dict(value, shape, where)
    inner, length = (shape[0], None) if isinstance(shape, list) else shape
    if not isinstance(value, list) or (length is not None and len(value) != length):
        return f"{where or 'it'} is {_short(value)}, must be a list" + (f" of {length}" if length is not None else "")
    return next((p for i, v in enumerate(value) if (p := mismatch(v, inner, f"{where}[{i}]"))), None)


def _mismatch_dict(value: Any, shape: dict[str, Any], where: str) -> str | None:
    if not isinstance(value, dict):
        return f"{where or 'it'} is {_short(value)}, must be an object"
    for key, inner in shape.items():
        name = key.removesuffix("?")
        place = f"{where}.{name}" if where else name
        if name not in value:
            if name == key:
                return f"{place} is missing"
        elif problem := mismatch(value[name], inner, place):
            return problem
    return None


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a whole number of that many digits"
    return text if len(text) <= 40 else f"{text[:37]}…"
