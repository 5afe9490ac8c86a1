"""Differences between the lines of a label-shift sweep, paired by draw, with tests and intervals."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from .shift import Alpha, Draw, Line, base_of, every_draw, named, severities
from .statistics import SIGNIFICANT, holm_ps, paired_p, t_interval


@dataclass(frozen=True)
class Gain:
    """How a line differs from another one at one α, over the draws that both have."""

    line: Line
    over: Line  #: the line that it is compared with
    alpha: Alpha
    draws: Sequence[Draw]  #: that both have
    gains: Sequence[float]  #: line − over in percentage points, one for each of these draws
    p: float | None  #: of a paired t-test; see :func:`.paired_p`
    partial: bool  #: whether other lines have draws at this α that these two do not share
    holm_p: float | None = None  #: p with Holm's correction for all comparisons of its table

    @property
    def points(self) -> float:
        return mean(self.gains)

    @property
    def mark(self) -> str:
        """A mark such as "(draws 0, 1)" if it is over other draws than the rest of its table; else empty."""
        return f"({named(self.draws)})" if self.partial else ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean difference, in points; None without a test."""
        return None if self.p is None else t_interval(self.gains)

    @property
    def told_apart(self) -> bool:
        """Whether a test tells the two lines apart: Holm's p < 0.05."""
        return self.holm_p is not None and self.holm_p < SIGNIFICANT


@dataclass(frozen=True)
class Best:
    """The best line at one α."""

    line: Line
    draws: Sequence[Draw]  #: over which it was chosen
    partial: bool  #: whether lines have other draws than these
    others: Sequence[Gain]  #: how it differs from each other line, with one Holm correction


def over_base(lines: Sequence[Line], metric: str) -> list[Gain]:
    """Each line at each α compared with its method's uncorrected cross-entropy, with one Holm correction."""
    pairs = [(line, base) for line in lines if (base := base_of(lines, line))]
    every = {alpha: every_draw(lines, alpha, metric) for alpha in severities(lines)}
    return _corrected([_gain(*pair, alpha, metric, draws) for pair in pairs for alpha, draws in every.items()])


def to_best(lines: Sequence[Line], alpha: Alpha, metric: str) -> Best | None:
    """The best line at one α; None without a score.

    Scores differ a lot between draws. So only lines with the most draws can be the best, by the draws that they share;
    if they share none, only those with the draws of the first of them.
    """
    draws = {id(line): set(line.draws(alpha, metric)) for line in lines}
    most = max(map(len, draws.values()), default=0)
    if not most:
        return None
    whole = [line for line in lines if len(draws[id(line)]) == most]
    shared = set.intersection(*(draws[id(line)] for line in whole))
    if not shared:
        shared = draws[id(whole[0])]
        whole = [line for line in whole if draws[id(line)] == shared]
    best = max(whole, key=lambda line: mean(line.values(alpha, metric, shared)))
    every = every_draw(lines, alpha, metric)
    others = _corrected([_gain(best, line, alpha, metric, every) for line in lines if line is not best])
    return Best(best, sorted(shared), any(own and own != shared for own in draws.values()), others)


def _gain(line: Line, over: Line, alpha: Alpha, metric: str, every: Collection[Draw]) -> Gain:
    """How a line differs from another one; ``every`` has the draws of all lines at this α."""
    draws = sorted({*line.draws(alpha, metric)} & {*over.draws(alpha, metric)})
    values = zip(line.values(alpha, metric, draws), over.values(alpha, metric, draws), strict=True)
    gains = [ours - theirs for ours, theirs in values]
    return Gain(line, over, alpha, draws, gains, paired_p(gains), partial=len(draws) < len(every))


def _corrected(found: Sequence[Gain]) -> list[Gain]:
    """The differences over at least one draw, with Holm's p over all with enough draws for a test.

    Corrections that gave a cell the same scores on these draws count as one comparison.
    """
    different = {_runs(d): d.gains for d in found}
    ps = dict(zip(different, holm_ps(list(different.values())), strict=True))
    return [replace(d, holm_p=ps[_runs(d)]) for d in found if d.gains]


def _runs(d: Gain) -> Hashable:
    """What is equal for comparisons of the same two cells with the same scores."""
    sides = [(x.method, x.loss, *(x.outcome(d.alpha, draw) for draw in d.draws)) for x in (d.line, d.over)]
    return d.alpha, tuple(d.draws), *sides
