"""Paired timing: the sides take turns, each round gives a ratio, and the median of the ratios is the figure.

A slow minute of a shared machine then slows both sides of a ratio. The order within a round turns around each time, so
that neither side always comes after the other. On a CPU seconds are the process's CPU time (everything runs on one
thread, so this is the time a step takes, without what other processes took from it); on CUDA they are wall time, from
one synchronisation to the next.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch

Sides = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        section: which part of the suite it comes from.
        name: what was measured, over what.
        value: the median, if there were rounds.
        unit: "×", "%", …
        bound: ("≤", 1.03): what it should keep; None for a number that only informs.
        quartiles: of the rounds.
        rounds: how many there were; 1 for what is counted and not timed.
        note: absolute numbers behind it, or the reason of a miss.
    """

    section: str
    name: str
    value: float
    unit: str = "×"
    bound: tuple[str, float] | None = None
    quartiles: tuple[float, float] | None = None
    rounds: int = 1
    note: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the bound is kept; None without one."""
        if self.bound is None:
            return None
        return self.value <= self.bound[1] if self.bound[0] == "≤" else self.value >= self.bound[1]


def now(device: torch.device | str = "cpu") -> float:
    """Seconds by the device's clock; see the module."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def interleaved(sides: Sides, rounds: int, device: torch.device | str = "cpu", warmup: int = 2) -> dict[str, list]:
    """Seconds of every side in every round.

    Args:
        sides: what is timed, by name.
        rounds: how often each is called and timed.
        device: whose clock is read.
        warmup: calls of each beforehand, not timed.
    """
    for side in sides.values():
        for _ in range(warmup):
            side()
    seconds: dict[str, list] = {name: [0.0] * rounds for name in sides}
    for turn in range(rounds):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            start = now(device)
            sides[name]()
            seconds[name][turn] = now(device) - start
    return seconds


def ratio(
    section: str,
    name: str,
    a: Sequence[float],
    b: Sequence[float],
    bound: tuple[str, float] | None = None,
    note: str = "",
) -> Figure:
    """The median over rounds of a / b, with its quartiles; the sides' own medians are put into the note."""
    ratios = [x / y for x, y in zip(a, b, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    sides = f"{_time(statistics.median(a))} against {_time(statistics.median(b))}"
    note = f"{sides}; {note}" if note else sides
    return Figure(section, name, statistics.median(ratios), "×", bound, (low, high), len(ratios), note)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """b of the least-squares line log(value) = a + b·log(size): 0 is constant, 1 is linear growth."""
    x, y = [log(s) for s in sizes], [log(v) for v in values]
    return statistics.linear_regression(x, y).slope


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"
