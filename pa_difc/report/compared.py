"""Tables of differences between cells, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from ..util.numbers import signed
from .grid import Grid
from .statistics import TESTED, Cell, Difference, differences

Rows = list[list[str]]

#: How to read any table of differences.
NOTE = (
    "Differences are in points, between the losses of one method (also those on pseudo-labels), on the same seeds and "
    "faces. From three seeds on, p and the 95 % interval are those of a paired t-test over seeds; p (Holm) is "
    "corrected for all comparisons by that metric. With fewer seeds, the interval is over test faces alone (paired "
    "bootstrap, not corrected): other seeds may differ by more. Net faces: how many more are predicted right, mean "
    "over seeds."
)


def differences_table(grid: Grid, metric: str) -> Rows:
    """Every loss compared with each simpler one of the same method, by one metric, in points."""
    found = differences(grid, metric)
    tested = any(d.p is not None for d in found)
    ps = ["p", "p (Holm)"] if tested else []
    rows = [["method", "loss", "over", f"Δ {TESTED[metric]}", "95 % interval", *ps, "net faces", "seeds"]]
    for d in found:
        shown = [p_text(d.p), p_text(d.holm_p)] if tested else []
        counts = [f"{d.net_faces:+,.0f}", str(d.seeds)]
        rows.append([*d.cell, _other(d), signed(d.points), interval(d), *shown, *counts])
    return rows


def statistics_rows(grid: Grid) -> Rows:
    """The same for all metrics, for programs: shares in [0, 1], empty if there is no value."""
    head = ["metric", "method", "loss", "over", "seeds", "difference", "low", "high", "interval_over", "p", "p_holm"]
    rows = [[*head, "net_faces", "faces"]]
    for metric in TESTED:
        for d in differences(grid, metric):
            ends = ["", ""] if d.interval is None else [f"{end / 100:.6f}" for end in d.interval]
            kind = "" if d.interval is None else "faces" if d.p is None else "seeds"
            ps = ["" if p is None else f"{p:.6g}" for p in (d.p, d.holm_p)]
            counts = [f"{d.net_faces:g}", str(d.faces)]
            rows.append([metric, *d.cell, _other(d), str(d.seeds), f"{d.points / 100:.6f}", *ends, kind, *ps, *counts])
    return rows


class Gains:
    """The cells' differences in mean recall to one base, as columns of a table whose rows are cells.

    Args:
        base: the base's name, for the header.
        found: the difference of each cell.
        suffix: tells the header's other columns apart from those of another base.
    """

    def __init__(self, base: str, found: Sequence[Difference], suffix: str = "") -> None:
        self._found = {d.cell: d for d in found}
        self._tested = any(d.p is not None for d in found)
        kinds = ("p", "p (Holm)") if self._tested else ("95 % interval",)
        self.head = [f"Δ recall vs {base}", *(kind + suffix for kind in kinds)]

    def row(self, cell: Cell) -> list[str]:
        """A cell's points, with p and Holm's p, or the interval if no cell was tested; empty without a difference."""
        if (d := self._found.get(cell)) is None:
            return [""] * len(self.head)
        return [signed(d.points), *((p_text(d.p), p_text(d.holm_p)) if self._tested else (interval(d),))]


def _other(d: Difference) -> str:
    """What differs in the other cell: its loss, or its method."""
    return d.over[1] if d.over[0] == d.cell[0] else d.over[0]


def interval(d: Difference) -> str:
    """The interval as text, such as "+0.3 to +2.1"; a dash if there is none."""
    return "–" if d.interval is None else " to ".join(map(signed, d.interval))


def p_text(p: float | None) -> str:
    """p as text, such as "0.038" or "< 0.001"; a dash if there is none."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def evidence(d: Difference) -> str:
    """The statistical evidence for a difference, for the brackets in a sentence."""
    if d.p is None:
        return "no interval: outputs were not kept" if d.interval is None else f"95 % interval over faces {interval(d)}"
    return f"{equals(d.p)}, {equals(d.holm_p)} by Holm, {d.seeds} seeds"


def equals(p: float | None) -> str:
    """p as an equation, such as "p = 0.038" or "p < 0.001"."""
    text = p_text(p)
    return f"p {text if text.startswith('<') else f'= {text}'}"
