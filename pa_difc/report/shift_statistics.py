"""Differences between the lines of a label-shift sweep, paired by draw, with tests and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from .shift import Alpha, Line, base_of, severities
from .statistics import SIGNIFICANT, holm_ps, paired_p, t_interval


@dataclass(frozen=True)
class Gain:
    """How a line differs from another one at one α, over the draws that both have."""

    line: Line
    over: Line  #: the line that it is compared with
    alpha: Alpha
    gains: Sequence[float]  #: line − over in percentage points, one for each draw
    p: float | None  #: of a paired t-test; see :func:`.paired_p`
    holm_p: float | None = None  #: p with Holm's correction for all comparisons of its table

    @property
    def points(self) -> float:
        return mean(self.gains)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean difference, in points; None without a test."""
        return None if self.p is None else t_interval(self.gains)

    @property
    def told_apart(self) -> bool:
        """Whether a test tells the two lines apart: Holm's p < 0.05."""
        return self.holm_p is not None and self.holm_p < SIGNIFICANT


def over_base(lines: Sequence[Line], metric: str) -> list[Gain]:
    """Each line at each α compared with its method's uncorrected cross-entropy, with one Holm correction."""
    pairs = [(line, base) for line in lines if (base := base_of(lines, line))]
    return _corrected([_gain(*pair, alpha, metric) for pair in pairs for alpha in severities(lines)])


def to_best(lines: Sequence[Line], alpha: Alpha, metric: str) -> tuple[Line, list[Gain]] | None:
    """The best line at one α, and how it differs from each other one, with one Holm correction; None without a score.

    Only lines with the most draws can be the best: scores differ a lot between draws.
    """
    counts = [len(line.values(alpha, metric)) for line in lines]
    if not max(counts, default=0):
        return None
    whole = [line for line, n in zip(lines, counts, strict=True) if n == max(counts)]
    best = max(whole, key=lambda line: mean(line.values(alpha, metric)))
    return best, _corrected([_gain(best, line, alpha, metric) for line in lines if line is not best])


def _gain(line: Line, over: Line, alpha: Alpha, metric: str) -> Gain:
    gains = line.gains(over, alpha, metric)
    return Gain(line, over, alpha, gains, paired_p(gains))


def _corrected(found: Sequence[Gain]) -> list[Gain]:
    """The differences over at least one draw, with Holm's p over all with enough draws for a test."""
    return [replace(d, holm_p=p) for d, p in zip(found, holm_ps([d.gains for d in found]), strict=True) if d.gains]
