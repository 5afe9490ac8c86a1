"""Tables over several pairs: a column for each, and their mean, in the form of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from statistics import mean
from typing import Any

from ..util.names import shown_loss
from ..util.numbers import spread
from .grid import Cell, Grid, together
from .groups import differences, key_but_pair
from .run import AS_IS
from .seeds import seeds_mark, usual_seeds
from .tables import Rows, percent

_FINGERPRINTS = ("train_fingerprint", "test_fingerprint")
#: The metrics that have such a table, and their names in its title.
SHOWN = {"macro_recall": "mean recall", "accuracy": "accuracy"}
NOTE = (
    "In %, target test split, mean ± standard deviation over seeds; the last column is the mean of the others, "
    "for rows that have them all, from the same seeds: its ± is over seeds, of each seed's mean over the columns, not "
    "over the columns; † collapsed in at least one run"
)


def tables_over_targets(grids: Sequence[Grid]) -> dict[str, Rows]:
    """The tables of grids with labels, by title; see :func:`sets_over_targets`."""
    return {title: over_targets(several, metric) for title, metric, several in sets_over_targets(grids)}


def sets_over_targets(grids: Sequence[Grid]) -> Iterator[tuple[str, str, list[Grid]]]:
    """Title, metric and grids of each table; runs with other settings, code or weights get their own table.

    Within a table, every dataset has the same data in all columns. If a dataset has changed, only grids with the
    newest grid's data are kept.
    """
    sets: dict[str, list[Grid]] = {}
    for grid in sorted((g for g in grids if g.labelled), key=_finished, reverse=True):
        found = sets.setdefault(key_but_pair(grid.runs[0].record), [])
        if all(_go_together(grid, other) for other in found):
            found.append(grid)
    places = {id(grid): place for place, grid in enumerate(grids)}
    several = [sorted(found, key=lambda grid: places[id(grid)]) for found in sets.values() if len(found) > 1]
    for grids_of_set, words in zip(several, _words(several, list(sets.values())), strict=True):
        of_what = "target" if len({grid.source for grid in grids_of_set}) == 1 else "pair"
        for metric, name in SHOWN.items():
            title = f"{name[0].upper()}{name[1:]} on every {of_what}"
            title = f"{named} · {title}" if (named := _named(grids_of_set)) else title
            yield f"{title} ({words})" if words else title, metric, grids_of_set


def over_targets(grids: Sequence[Grid], metric: str) -> Rows:
    """A row per method and loss, a column per pair, and the mean; for accuracy, published numbers beside ours.

    The mean over pairs is taken seed by seed, and its ± is the standard deviation of these means.

    Args:
        grids: with labels, each of another pair, with the same settings.
        metric: one of :data:`SHOWN`.
    """
    cells = _cells(grids)
    beside = [metric == "accuracy" and _has_published(grid) for grid in grids]
    rows = [["method", "loss"]]
    for name, two in zip(columns(grids), beside, strict=True):
        rows[0] += [name, f"published {name}"] if two else [name]
    rows[0].append("mean")
    usual = usual_seeds(g.of(*cell) for g in grids for cell in cells if _plain(cell[0]) != AS_IS)
    for cell in cells:
        row = [cell[0], shown_loss(*cell)]
        for grid, two in zip(grids, beside, strict=True):
            by_seed = grid.of(*cell)
            runs = list(by_seed.values())
            values = [percent(run.scores[metric]) for run in runs]
            marks = ["†"] * any(run.scores["collapsed"] for run in runs) + [seeds_mark(cell[0], by_seed, usual)]
            row.append(" ".join(filter(None, [spread(values), *marks])) if values else "")
            if two:
                number = grid.published(*cell)
                row.append("" if number is None else f"{number:.2f}")
        rows.append([*row, _mean_over(grids, cell, metric, usual)])
    return rows


def _cells(grids: Sequence[Grid]) -> list[Cell]:
    """The cells of several grids, which have the same names in all, in the order of each one's table."""
    runs = [run for grid in grids for run in grid.runs]
    methods = together([(run.method, run.cell[0]) for run in runs])
    losses = together([(run.loss, run.cell[1]) for run in runs])
    there = {run.cell[:2] for run in runs}
    return [cell for cell in product(methods, losses) if cell in there]


def _mean_over(grids: Sequence[Grid], cell: Cell, metric: str, usual: Sequence[int]) -> str:
    """A cell's mean over all pairs, with its spread over seeds; empty if a pair has no run, or other seeds.

    Its seeds are named if they are not the ``usual`` ones.
    """
    of_grids = [grid.of(*cell) for grid in grids]
    if _plain(cell[0]) == AS_IS:  # deterministic: any seed's run stands for all
        of_grids = [dict.fromkeys([0], run) for by_seed in of_grids for run in list(by_seed.values())[:1]]
    if len([*filter(None, of_grids)]) < len(grids) or len({tuple(by_seed) for by_seed in of_grids}) > 1:
        return ""
    values = [[percent(run.scores[metric]) for run in by_seed.values()] for by_seed in of_grids]
    found = spread([mean(of_seed) for of_seed in zip(*values, strict=True)])
    return f"{found} {seeds_mark(cell[0], of_grids[0], usual)}".rstrip()


def _named(grids: Sequence[Grid]) -> str:
    """The title that all grids have in a --grid file; empty if they have none, or several."""
    titles = {grid.named for grid in grids}
    return titles.pop() if len(titles) == 1 else ""


def _plain(method: str) -> str:
    """A method's name without the options that a table adds to it."""
    return method.partition(" ")[0]


def _finished(grid: Grid) -> str:
    """The time at which a grid's last run finished."""
    return max(str(run.record["finished"]) for run in grid.runs)


def _go_together(one: Grid, other: Grid) -> bool:
    """Whether two grids are of different pairs, and have the same data in each dataset that they share."""
    pairs = (one.source, one.target), (other.source, other.target)
    sides = [side for side, a, b in zip(("source", "target"), *pairs, strict=True) if a == b]
    return len(sides) < 2 and all(_data(one, side) == _data(other, side) for side in sides)


def _data(grid: Grid, side: str) -> list[Any]:
    """What identifies a side's data: counts and fingerprints; counts alone for features, which each pair extracts."""
    data = grid.runs[0].record["data"][side]
    keys = ("train_counts", "test_counts") + (() if data.get("features_of") else _FINGERPRINTS)
    return [data.get(key) for key in keys]


def columns(grids: Sequence[Grid]) -> list[str]:
    """The column name of each pair."""
    several = len({grid.source for grid in grids}) > 1
    return [f"{grid.source} → {grid.target}" if several else grid.target for grid in grids]


def _words(several: Sequence[Sequence[Grid]], every: Sequence[Sequence[Grid]]) -> list[str]:
    """How each set of several grids differs from every other set, numbered if that reads the same; empty for one set.

    Args:
        several: the sets that have a table.
        every: all sets, also those of a single grid, which has no table over pairs.
    """
    if len(every) < 2:
        return [""] * len(several)
    shown = [grids for grids in every if len(grids) < 2] + list(several)  # the newest set may be any of them
    shown.sort(key=lambda grids: max(map(_finished, grids)))
    differs = differences([grids[0].runs[-1].record for grids in shown], over_pairs=True)
    words_of = {id(grids): ", ".join(words) for grids, words in zip(shown, differs, strict=True)}
    found = [words_of[id(grids)] for grids in several]
    places = [found[: i + 1].count(words) for i, words in enumerate(found)]
    return [words if n == 1 else f"{words}, {n}" for words, n in zip(found, places, strict=True)]


def _has_published(grid: Grid) -> bool:
    return any(grid.published(*cell) is not None for cell in grid.cells)
