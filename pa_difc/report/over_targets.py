"""Several pairs in one table: a column for each, and their mean (the form of the paper's Table 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from .grid import Grid
from .groups import differences, key_but_pair
from .published import published_accuracy
from .tables import Rows, percent, spread

#: The metrics that have such a table.
SHOWN = {"macro_recall": "mean recall", "accuracy": "accuracy"}
NOTE = (
    "In %, target test split, mean ± standard deviation over seeds; the mean is over the columns, of cells that have "
    "all; † collapsed in at least one run"
)


def tables_over_targets(grids: Sequence[Grid]) -> dict[str, Rows]:
    """Titles and tables of grids with labels, by metric; see :func:`sets_over_targets`."""
    return {title: over_targets(several, metric) for title, metric, several in sets_over_targets(grids)}


def sets_over_targets(grids: Sequence[Grid]) -> Iterator[tuple[str, str, list[Grid]]]:
    """Title, metric and grids of each such table; runs of other settings, code or weights have their own.

    Of a pair that has several grids of the same settings, for its data have changed, the newest stands in the table.
    """
    sets: dict[str, dict[tuple[str, str], Grid]] = {}
    for grid in sorted((grid for grid in grids if grid.labelled), key=lambda g: str(g.runs[-1].record["finished"])):
        sets.setdefault(key_but_pair(grid.runs[0].record), {})[grid.source, grid.target] = grid
    several = [list(pairs.values()) for pairs in sets.values() if len(pairs) > 1]
    for grids_of_set, words in zip(several, _words(several), strict=True):
        of_what = "target" if len({grid.source for grid in grids_of_set}) == 1 else "pair"
        for metric, name in SHOWN.items():
            title = f"{name[0].upper()}{name[1:]} on every {of_what}"
            yield f"{title} ({words})" if words else title, metric, grids_of_set


def over_targets(grids: Sequence[Grid], metric: str) -> Rows:
    """Every method and loss, a column per pair and their mean; with accuracy, published numbers beside ours.

    Args:
        grids: with labels, of one pair each and the same settings.
        metric: one of :data:`SHOWN`.
    """
    cells = list(dict.fromkeys((m, k) for grid in grids for m in grid.methods for k in grid.losses if grid.of(m, k)))
    beside = [metric == "accuracy" and _has_published(grid) for grid in grids]
    rows = [["method", "loss"]]
    for name, two in zip(columns(grids), beside, strict=True):
        rows[0] += [name, f"published {name}"] if two else [name]
    rows[0].append("mean")
    for cell in cells:
        row, means = list(cell), []
        for grid, two in zip(grids, beside, strict=True):
            runs = list(grid.of(*cell).values())
            values = [percent(run.scores[metric]) for run in runs]
            mark = " †" if any(run.scores["collapsed"] for run in runs) else ""
            row.append(spread(values) + mark if values else "")
            means += [mean(values)] if values else []
            if two:
                number = published_accuracy(grid.source, grid.target, *cell, grid.backbone)
                row.append("" if number is None else f"{number:.2f}")
        rows.append([*row, f"{mean(means):.1f}" if len(means) == len(grids) else ""])
    return rows


def columns(grids: Sequence[Grid]) -> list[str]:
    """What the column of each pair is called."""
    several = len({grid.source for grid in grids}) > 1
    return [f"{grid.source} → {grid.target}" if several else grid.target for grid in grids]


def _words(sets: Sequence[Sequence[Grid]]) -> list[str]:
    """In what each of several sets of grids differs from the others; empty where there is one."""
    if len(sets) < 2:
        return [""] * len(sets)
    differs = differences([grids[-1].runs[-1].record for grids in sets])
    return [", ".join(word for word in words if not word.endswith(" data")) for words in differs]


def _has_published(grid: Grid) -> bool:
    cells = ((m, k) for m in grid.methods for k in grid.losses)
    return any(published_accuracy(grid.source, grid.target, *cell, grid.backbone) is not None for cell in cells)
