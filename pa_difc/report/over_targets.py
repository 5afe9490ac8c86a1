"""Several targets in one table: a column for each, and their mean (the form of the paper's Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from .grid import Grid
from .published import published_accuracy
from .tables import Rows, percent, spread

#: The metrics that have such a table.
SHOWN = {"macro_recall": "mean recall", "accuracy": "accuracy"}
NOTE = "In %, target test split, mean ± standard deviation over seeds; the mean is over targets, of cells that have all"


def over_targets(grids: Sequence[Grid], metric: str) -> Rows:
    """Every method and loss, a column per pair and the mean over all; with accuracy, published numbers beside ours.

    Args:
        grids: with labels, of several pairs; those without are left out.
        metric: one of :data:`SHOWN`.
    """
    grids = [grid for grid in grids if grid.labelled]
    cells = list(dict.fromkeys((m, k) for grid in grids for m in grid.methods for k in grid.losses if grid.of(m, k)))
    beside = [metric == "accuracy" and _has_published(grid) for grid in grids]
    rows = [["method", "loss"]]
    for name, two in zip(_heads(grids), beside, strict=True):
        rows[0] += [name, f"published {name}"] if two else [name]
    rows[0].append("mean")
    for cell in cells:
        row, means = list(cell), []
        for grid, two in zip(grids, beside, strict=True):
            values = [percent(run.scores[metric]) for run in grid.of(*cell).values()]
            row.append(spread(values) if values else "")
            means += [mean(values)] if values else []
            if two:
                number = published_accuracy(grid.source, grid.target, *cell, grid.backbone)
                row.append("" if number is None else f"{number:.2f}")
        rows.append([*row, f"{mean(means):.1f}" if len(means) == len(grids) else ""])
    return rows


def _heads(grids: Sequence[Grid]) -> list[str]:
    """The target's name, the pair's where there are several sources, and what differs where that is not enough."""
    several = len({grid.source for grid in grids}) > 1
    names = [f"{grid.source} → {grid.target}" if several else grid.target for grid in grids]
    return [f"{n} · {g.heading}" if g.heading and names.count(n) > 1 else n for n, g in zip(names, grids, strict=True)]


def _has_published(grid: Grid) -> bool:
    cells = ((m, k) for m in grid.methods for k in grid.losses)
    return any(published_accuracy(grid.source, grid.target, *cell, grid.backbone) is not None for cell in cells)
