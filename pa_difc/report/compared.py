"""Tables of differences between cells, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from ..util.numbers import signed, signed_points
from .grid import Cell, Grid
from .statistics import BETWEEN, FEWEST_FACES, TESTED, Difference, Interval, differences

Rows = list[list[str]]

#: Headers of the two intervals.
OVER_FACES, OVER_SEEDS = "95 % interval over faces", "95 % interval over seeds"
#: How to read any table of differences.
NOTE = (
    "Differences are in points, on the same seeds and faces, between cells that differ in one thing: each loss and "
    "each simpler one with the same method (also those on pseudo-labels), each method and source_only with the same "
    "loss, or two values of one option. The 95 % interval over faces is a paired bootstrap over the test faces; it "
    "says what other faces might have given. With three or more seeds, p and the 95 % interval over seeds are those of "
    "a paired t-test over seeds; p (Holm) is corrected for all comparisons by that metric between losses, or for all "
    "between methods; intervals are not. p and the interval over seeds say nothing about other faces or another "
    "network, and the interval over faces says nothing about other seeds. Net faces: how many more are predicted "
    "right, mean over seeds."
)


#: Stands beside an interval over faces that is too narrow.
TOO_NARROW = " (too narrow: few faces of a class)"


def thin_note(grid: Grid) -> list[str]:
    """A note on intervals over faces that are too narrow; none if every class has enough faces."""
    totals = [sum(row) for row in grid.runs[0].scores["confusion"]]
    few = [f"{name} ({n})" for name, n in zip(grid.classes, totals, strict=True) if 0 < n < FEWEST_FACES]
    if not few:
        return []
    return [
        f"Intervals over faces are too narrow for mean recall, because of classes with fewer than {FEWEST_FACES} test "
        f"faces: {', '.join(few)}. Nothing is called better or worse, or set in bold, by them."
    ]


def differences_table(grid: Grid, metric: str, between: str = "losses") -> Rows:
    """The differences between losses or between methods by one metric, in points; see :data:`.BETWEEN`."""
    found = differences(grid, metric, between)
    tested = any(d.p is not None for d in found)
    of_seeds = [OVER_SEEDS, "p", "p (Holm)"] if tested else []
    rows = [["method", "loss", "over", f"Δ {TESTED[metric]}", OVER_FACES, *of_seeds, "net faces", "seeds"]]
    for d in found:
        shown = [interval(d.over_seeds), p_text(d.p), p_text(d.holm_p)] if tested else []
        counts = [signed(d.net_faces, 0), f"{d.seeds} {d.mark}".rstrip()]
        rows.append([*d.cell, _other(d), signed_points(d.points), interval(d.over_faces), *shown, *counts])
    return rows


def statistics_rows(grid: Grid) -> Rows:
    """The differences by all metrics, for programs: shares in [0, 1], empty if there is no value."""
    ends = [f"{end}_over_{what}" for what in ("faces", "seeds") for end in ("low", "high")]
    head = ["metric", "method", "loss", "over", "seeds", "difference", *ends, "p", "p_holm"]
    rows = [[*head, "net_faces", "faces", "between"]]
    for metric, between in product(TESTED, BETWEEN):
        for d in differences(grid, metric, between):
            values = [end for found in (d.over_faces, d.over_seeds) for end in found or (None, None)]
            shown = ["" if end is None else f"{end / 100:.6f}" for end in values]
            ps = ["" if p is None else f"{p:.6g}" for p in (d.p, d.holm_p)]
            counts = [f"{d.net_faces:g}", str(d.faces), between]
            rows.append([metric, *d.cell, _other(d), str(d.seeds), f"{d.points / 100:.6f}", *shown, *ps, *counts])
    return rows


class Gains:
    """The cells' differences in mean recall to one base, as columns of a table whose rows are cells; none without any.

    Args:
        base: the base's name, for the header.
        found: the difference of each cell.
        suffix: tells the header's other columns apart from those of another base.
    """

    def __init__(self, base: str, found: Sequence[Difference], suffix: str = "") -> None:
        self._found = {d.cell: d for d in found}
        self._tested = any(d.p is not None for d in found)
        kinds = ("p", "p (Holm)") if self._tested else (OVER_FACES,)
        self.head = [f"Δ recall vs {base}", *(kind + suffix for kind in kinds)] if found else []

    def row(self, cell: Cell) -> list[str]:
        """A cell's points, with p and Holm's p, or the interval if no cell was tested; empty without a difference."""
        if (d := self._found.get(cell)) is None:
            return [""] * len(self.head)
        points = f"{signed_points(d.points)} {d.mark}".rstrip()
        return [points, *((p_text(d.p), p_text(d.holm_p)) if self._tested else (interval(d.over_faces),))]


def _other(d: Difference) -> str:
    """What differs in the other cell: its loss, or its method."""
    return d.over[1] if d.over[0] == d.cell[0] else d.over[0]


def interval(ends: Interval | None) -> str:
    """An interval as text, such as "+0.3 to +2.1"; a dash if there is none."""
    return "–" if ends is None else " to ".join(map(signed_points, ends))


def p_text(p: float | None) -> str:
    """p as text, such as "0.038" or "< 0.001"; a dash if there is none."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def evidence(d: Difference) -> str:
    """The statistical evidence for a difference, for the brackets in a sentence."""
    faces = None if d.over_faces is None else f"over faces {interval(d.over_faces)}{TOO_NARROW * d.thin}"
    only = f"{d.mark[1:-1]} only" if d.partial else ""
    if d.p is not None:
        both = ", ".join(filter(None, [f"over seeds {interval(d.over_seeds)}", faces]))
        return f"{equals(d.p)}, {equals(d.holm_p)} by Holm, {only or f'{d.seeds} seeds'}; 95 % interval {both}"
    found = f"95 % interval {faces}" if faces else "no interval: outputs were not kept"
    found = "; ".join(filter(None, [only, found]))
    return found if d.seeds == 1 else f"{found}; {_each_seed(d)}"


def _each_seed(d: Difference) -> str:
    """What each of a few seeds gains, such as "+11.4 with seed 0 and 0.0 with seed 1"."""
    values = {signed_points(gain) for gain in d.by_seed.values()}
    if len(values) == 1:
        return f"{d.seeds} seeds with the same difference"
    return " and ".join(f"{signed_points(gain)} with seed {seed}" for seed, gain in d.by_seed.items())


def equals(p: float | None) -> str:
    """p as an equation, such as "p = 0.038" or "p < 0.001"."""
    text = p_text(p)
    return f"p {text if text.startswith('<') else f'= {text}'}"
