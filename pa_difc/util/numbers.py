"""Formats numbers for people: every number is rounded once, from its full value, and halves go away from zero."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from math import isfinite, isnan
from statistics import mean, stdev
from typing import Any

#: Decimals of a computed value that are trusted; the rest is noise, which must not decide how a half is rounded.
_TRUSTED = 9

#: The hyphen before a negative number, which stands after a space or a bracket, or begins a table's cell.
_NEGATIVE = re.compile(r"(?:(?<=[\s(])|^)-(?=\d)")

#: Differences below it have two decimals.
_SMALL = 0.1


def fixed(value: float, digits: int = 1) -> str:
    """A number with so many decimals, such as "55.9" for 55.85; one that rounds to zero has no sign."""
    return _written(value, digits, "")


def exact(value: Any) -> float:
    """A NumPy number as the shortest decimal that is read back as the same: float32's 0.1, not 0.10000000149011612.

    So written probabilities keep their order, ties included, and sum to 1 as the array does.
    """
    return float(str(value))


def rate(number: float, seconds: float) -> str:
    """How many a second: whole from 10 on, with two digits below, so that it is never 0, such as "0.04"."""
    found = number / max(seconds, 1e-9)
    return f"{found:,.0f}" if found >= 10 else f"{found:.2g}"


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, such as "+0.3" or "-1.2"; one that rounds to zero has none, as "0.0"."""
    return _written(value, digits, "+")


def signed_points(value: float) -> str:
    """A difference with its sign and one decimal, or with two below 0.1, so that it shows on which side of 0 it is."""
    return signed(value, 2 if 0 < round(abs(value), _TRUSTED) < _SMALL else 1)


def minus(text: str) -> str:
    """A number as text with a minus sign in place of a hyphen, for pages."""
    return text.replace("-", "−")


def with_minus(text: str) -> str:
    """A text for people with a minus sign before each negative number; a range such as "1-2" keeps its hyphen."""
    return _NEGATIVE.sub("−", text)


def plus_minus(value: float, deviation: float | None, form: Callable[[float], str] = fixed) -> str:
    """A mean and its spread, such as "52.1 ± 0.4"; the mean alone without a spread."""
    return form(value) + ("" if deviation is None else f" ± {fixed(deviation)}")


def spread(values: Sequence[float], form: Callable[[float], str] = fixed) -> str:
    """The mean and sample standard deviation of values; no spread for a single one, a dash without a value."""
    if not values or any(map(isnan, values)):
        return "–"
    return plus_minus(mean(values), stdev(values) if len(values) > 1 else None, form)


def _written(value: float, digits: int, sign: str) -> str:
    if not isfinite(value):
        return f"{value:{sign}}"
    exact = Decimal(str(round(value, _TRUSTED))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{exact:{sign},}" if exact else f"{abs(exact)}"
