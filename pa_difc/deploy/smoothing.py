"""Filters that smooth a face's probabilities from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, isfinite, tau
from typing import Protocol

import numpy as np

from ..util.errors import UserError
from ..util.names import unknown


class Smoother(Protocol):
    """The filter of one face, which keeps state from frame to frame."""

    def __call__(self, probs: np.ndarray, time_s: float) -> np.ndarray:
        """Smooths the probabilities ``(K,)`` of the next frame, at ``time_s`` seconds; they still sum to 1."""


class Ema:
    """Exponential moving average: ``s ← s + (1 − exp(−Δt / T)) · (p − s)``.

    A frame T seconds ago weighs 1/e as much as the current one, at any frame rate.

    Args:
        seconds: the time constant T.
    """

    def __init__(self, seconds: float = 0.3) -> None:
        self._seconds = seconds
        self._last: tuple[np.ndarray, float] | None = None

    def __call__(self, probs: np.ndarray, time_s: float) -> np.ndarray:
        if self._last is not None:
            before, then = self._last
            probs = before + (1 - exp(-(time_s - then) / self._seconds)) * (probs - before)
        self._last = probs, time_s
        return probs


class OneEuro:
    """The 1€ filter (Casiez, Roussel and Vogel 2012, doi:10.1145/2207676.2208639): steady at rest, quick to change.

    ``s ← s + a(f) · (p − s)`` with ``a(f) = 1 / (1 + 1 / (2π f Δt))`` and the cutoff ``f = f_min + β · v``, where v is
    the speed of the probabilities, itself smoothed with ``a(1 Hz)``.

    Differs from the paper: v is one number for all classes, half the sum of their absolute speeds, so that the smoothed
    probabilities still sum to 1.

    Args:
        cutoff_hz: f_min; a lower one is steadier.
        beta: β; a higher one reacts faster.
    """

    def __init__(self, cutoff_hz: float = 0.5, beta: float = 1.0) -> None:
        self._cutoff_hz, self._beta = cutoff_hz, beta
        self._last: tuple[np.ndarray, np.ndarray, float] | None = None
        self._speeds: np.ndarray | float = 0.0

    def __call__(self, probs: np.ndarray, time_s: float) -> np.ndarray:
        smooth = probs
        if self._last is not None:
            raw, before, then = self._last
            dt = time_s - then
            self._speeds = self._speeds + _share(1.0, dt) * ((probs - raw) / dt - self._speeds)
            speed = float(np.abs(self._speeds).sum()) / 2
            smooth = before + _share(self._cutoff_hz + self._beta * speed, dt) * (probs - before)
        self._last = probs, smooth, time_s
        return smooth


def _share(cutoff_hz: float, dt: float) -> float:
    """The weight a(f) of the new value in a first-order low-pass filter."""
    return 1 / (1 + 1 / (tau * cutoff_hz * dt))


SMOOTHERS: dict[str, Callable[..., Smoother]] = {"ema": Ema, "one_euro": OneEuro}
_MOST = {"ema": 1, "one_euro": 2}  #: most numbers that each takes


def smoother_of(words: str) -> Callable[[], Smoother]:
    """A factory of filters, one for each face, from words such as "ema:0.3", "one_euro" or "one_euro:0.5:1".

    Raises:
        UserError: there is no such filter, or its numbers are malformed or out of range.
    """
    name, *given = words.split(":")
    if name not in SMOOTHERS:
        raise unknown("filter", name, SMOOTHERS)
    how = "ema:SECONDS" if name == "ema" else "one_euro:HERTZ:BETA"
    try:
        numbers = [float(word) for word in given]
    except ValueError:
        raise UserError(f"filter {words!r}: must be {how}") from None
    if len(numbers) > _MOST[name] or not all(isfinite(n) and n > 0 for n in numbers):
        raise UserError(f"filter {words!r}: must be {how}, numbers above 0")
    return lambda: SMOOTHERS[name](*numbers)
