"""Differences between the cells of a grid, with tests and intervals.

Differences are paired: by seed, on the same test faces. A bootstrap over the test faces gives an interval that says
what other faces might have given. With three or more seeds, their spread gives a t-test and a second interval, that
over seeds; with fewer, that spread is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt
from statistics import mean, stdev

import numpy as np

from ..evaluation.metrics import ENOUGH_FACES, METRICS
from .grid import Cell, Grid
from .pairs import of_losses, of_methods
from .run import AS_IS, Array, Run
from .seeds import named

#: The metrics whose differences are tested: means over test faces, as the bootstrap needs.
TESTED = {name: METRICS[name] for name in ("macro_recall", "accuracy", "macro_recall_20")}
#: What differs in the pairs of a table of differences, with the cells that are compared.
BETWEEN = {"losses": of_losses, "methods": of_methods}
SIGNIFICANT = 0.05
#: Fewer seeds are too few to estimate their spread.
FEWEST_SEEDS = 3
#: With fewer faces of a class, a bootstrap interval of mean recall is too narrow; see :func:`.intervals.mean_of`.
FEWEST_FACES = 10
_DRAWS = 10_000

Interval = tuple[float, float]
Runs = dict[int, Run]


@dataclass(frozen=True)
class Difference:
    """The difference between two cells, averaged over the seeds that both have."""

    cell: Cell  #: method and loss
    over: Cell  #: the cell that it is compared with
    metric: str
    points: float  #: cell − over, in percentage points
    by_seed: dict[int, float]  #: the same for each seed
    over_faces: Interval | None  #: 95 %, in points; None if outputs were not kept
    over_seeds: Interval | None  #: 95 %, in points; None where p is
    p: float | None  #: of a paired t-test; see :func:`paired_p`
    net_faces: float  #: how many more test faces are predicted right, mean over seeds
    faces: int  #: number of test faces
    partial: bool = False  #: whether the cell also has seeds that the other one lacks
    thin: bool = False  #: whether classes have so few faces that the interval over faces is too narrow
    holm_p: float | None = None  #: p with Holm's correction for all comparisons of its table

    @property
    def seeds(self) -> int:
        return len(self.by_seed)

    @property
    def mark(self) -> str:
        """A mark such as "(seeds 0, 1)" if it is over fewer seeds than the cell has; else empty."""
        return named(self.by_seed) if self.partial else ""

    @property
    def within_noise(self) -> bool | None:
        """Whether chance may explain it, that of the seeds or that of the faces; None if neither is known.

        That of the seeds may if Holm's p ≥ 0.05 or, with too few seeds for p, if one gains and another does not; that
        of the faces may if the interval over faces contains 0.
        """
        if self.holm_p is None and self.over_faces is None:
            return None
        if self._seeds_allow_zero or self._faces_allow_zero:
            return True
        return None if self.holm_p is None and self.thin else False

    @property
    def may_be_zero(self) -> bool:
        """Whether all that is known of it allows that there is none: both the seeds and the faces.

        With one seed, only the interval over faces says anything.
        """
        known = [] if self.seeds == 1 else [self._seeds_allow_zero]
        known += [] if self._faces_allow_zero is None else [self._faces_allow_zero]
        return bool(known) and all(known)

    @property
    def _seeds_allow_zero(self) -> bool:
        if self.holm_p is None:
            return min(self.by_seed.values()) <= 0 <= max(self.by_seed.values())
        return self.holm_p >= SIGNIFICANT

    @property
    def _faces_allow_zero(self) -> bool | None:
        """None if this isn't known, as when the interval excludes 0 but is too narrow to say so."""
        if self.over_faces is None:
            return None
        return self.over_faces[0] <= 0 <= self.over_faces[1] or (None if self.thin else False)


def differences(grid: Grid, metric: str, between: str = "losses") -> list[Difference]:
    """The differences between losses or between methods, see :data:`BETWEEN`, with one Holm correction.

    Args:
        grid: the cells.
        metric: one of :data:`TESTED`.
        between: a key of :data:`BETWEEN`.
    """
    return corrected([made for pair in BETWEEN[between](grid) if (made := difference(grid, *pair, metric))])


def to_best(grid: Grid, metric: str) -> tuple[Cell, list[Difference]] | None:
    """The best of the cells that can be ranked, and its difference from each other one of these.

    None if the metric has no value. See :attr:`.Grid.ranked`.
    """
    cells = grid.ranked
    if any(run.scores[metric] is None for run in grid.runs):
        return None
    best = max(cells, key=lambda cell: mean(run.scores[metric] for run in cells[cell].values()))
    others = [difference(grid, best, cell, metric) for cell in cells if cell != best]
    return best, corrected([d for d in others if d])


def best_cells(grid: Grid, metric: str) -> set[Cell]:
    """The best cell of a grid and all that may be equal to it, by seeds and faces; empty if the metric has no value."""
    if (found := to_best(grid, metric)) is None:
        return set()
    best, others = found
    return {best} | {d.over for d in others if d.may_be_zero}


def difference(grid: Grid, cell: Cell, over: Cell, metric: str) -> Difference | None:
    """The difference between two cells; None if they share no seed, or the metric has no value.

    The pretrained classifier without training is deterministic: its one run stands for every seed.
    """
    runs, base = grid.of(*cell), grid.of(*over)
    if over[0] == AS_IS:
        base = dict.fromkeys(runs, next(iter(base.values())))
    elif cell[0] == AS_IS:
        runs = dict.fromkeys(base, next(iter(runs.values())))
    shared = {seed: (runs[seed], base[seed]) for seed in runs if seed in base}
    pairs = list(shared.values())
    if not pairs or any(run.scores[metric] is None for pair in pairs for run in pair):
        return None
    by_seed = {seed: 100 * (a.scores[metric] - b.scores[metric]) for seed, (a, b) in shared.items()}
    gains = list(by_seed.values())
    p = paired_p(gains)
    counts = [[np.array(run.scores["confusion"]) for run in pair] for pair in pairs]
    return Difference(
        cell=cell,
        over=over,
        metric=metric,
        points=mean(gains),
        by_seed=by_seed,
        over_faces=_over_faces(pairs, metric),
        over_seeds=None if p is None else t_interval(gains),
        p=p,
        net_faces=mean(float(a.trace() - b.trace()) for a, b in counts),
        faces=int(counts[0][0].sum()),
        partial=len(shared) < len(runs),
        thin=metric == "macro_recall" and any(0 < n < FEWEST_FACES for n in counts[0][0].sum(axis=1)),
    )


def over(grid: Grid, cells: Iterable[Cell], base: Cell, metric: str) -> list[Difference]:
    """The difference of each cell from ``base``, corrected for all of them, so that the best may be picked out."""
    return corrected([d for cell in cells if (d := difference(grid, cell, base, metric))])


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """The differences with Holm's p, corrected over all with enough seeds for a test."""
    return [
        replace(d, holm_p=p) for d, p in zip(found, holm_ps([list(d.by_seed.values()) for d in found]), strict=True)
    ]


def holm_ps(found: Sequence[Sequence[float]]) -> list[float | None]:
    """Holm's p of several paired differences; None for one without a p.

    Each one with enough pairs for a test counts as a comparison. One whose pairs all differ by the same, so that a
    t-test can't be made, counts with p = 1, which leaves the others the largest correction.

    Args:
        found: for each comparison its differences, one for each seed or draw.
    """
    ps = [paired_p(gains) for gains in found]
    counted = {i: 1.0 if p is None else p for i, p in enumerate(ps) if len(found[i]) >= FEWEST_SEEDS}
    adjusted = dict(zip(counted, holm(list(counted.values())), strict=True))
    return [None if p is None else adjusted[i] for i, p in enumerate(ps)]


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): p̃₍ᵢ₎ = max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎), in the given order."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = largest
    return adjusted


def bootstrap(labels: Array, gained: Array, metric: str, draws: int = _DRAWS) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a difference over test faces, paired by face (Efron 1979).

    Each draw takes N of the N faces with replacement. A class absent from a draw is left out of its mean recall.
    "macro_recall_20" averages over the classes that have at least 20 faces in the test set itself.

    Args:
        labels: ``(N,)`` true classes.
        gained: ``(N,)`` 1 if the face was put right, −1 if it was put wrong, else 0; or means of these over seeds.
        metric: one of :data:`TESTED`.
        draws: number of test sets to draw.

    Returns:
        The lower and the upper end, as shares.
    """
    n = len(labels)
    # Faces with the same class and gain are interchangeable, so the number drawn of each kind is multinomial.
    kinds, counts = np.unique(np.stack([labels, gained]), axis=1, return_counts=True)  # (2, C), (C,)
    drawn = np.random.default_rng(0).multinomial(n, counts / n, size=draws)  # (R, C)
    if metric == "accuracy":
        values = drawn @ kinds[1] / n
    else:
        least = ENOUGH_FACES if metric == "macro_recall_20" else 1
        classes, sizes = np.unique(labels, return_counts=True)
        member = (kinds[0][:, None] == classes[sizes >= least]).astype(float)  # (C, K)
        totals, sums = drawn @ member, (drawn * kinds[1]) @ member  # (R, K)
        there = totals > 0
        values = (sums / np.where(there, totals, 1)).sum(axis=1) / there.sum(axis=1).clip(1)
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def paired_p(gains: Sequence[float]) -> float | None:
    """p of a paired t-test on differences, one for each seed or draw; 1 if all are 0.

    None if they are fewer than three, or all the same but not 0: they have no spread to test against.
    """
    values = {round(gain, 9) for gain in gains}
    if len(gains) < FEWEST_SEEDS:
        return None
    if len(values) == 1:
        return None if any(values) else 1.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(gains, 0).pvalue)


def t_interval(gains: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean difference by Student's t, in the unit of ``gains``; for at least two of them."""
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(gains) - 1)) * stdev(gains) / sqrt(len(gains))
    return mean(gains) - reach, mean(gains) + reach


def _over_faces(pairs: Sequence[tuple[Run, Run]], metric: str) -> tuple[float, float] | None:
    """The bootstrap interval in points; None if outputs were not kept, or are of other faces."""
    gained = []
    for a, b in ((a.outputs, b.outputs) for a, b in pairs):
        if not a or not b or not np.array_equal(a["target_labels"], b["target_labels"]):
            return None
        right = [(o["target_probs"].argmax(axis=1) == o["target_labels"]).astype(float) for o in (a, b)]
        gained.append(right[0] - right[1])
    outputs = pairs[0][0].outputs
    assert outputs is not None
    return _bootstrapped(outputs["target_labels"].astype(np.int64).tobytes(), np.mean(gained, axis=0).tobytes(), metric)


@lru_cache(maxsize=4096)
def _bootstrapped(labels: bytes, gained: bytes, metric: str) -> Interval:
    """The same in points, once for each pair of cells: a page asks several times."""
    low, high = bootstrap(np.frombuffer(labels, np.int64), np.frombuffer(gained), metric)
    return 100 * low, 100 * high
