"""The sentence that a grid's report begins with."""

from __future__ import annotations

from statistics import mean

from .grid import BASE, Grid
from .selection import CHOSEN_BY, select
from .tables import paired, spread


def sentence(grid: Grid) -> str:
    """What a busy person takes away: the best cell by mean recall, and what its loss gained over cross-entropy.

    Of a target without labels: the cell to take.
    """
    if not grid.labelled:
        return _unscored_sentence(grid)
    cells = {(m, k): runs for m in grid.methods for k in grid.losses if (runs := grid.of(m, k))}
    value = {cell: mean(r.scores["macro_recall"] for r in runs.values()) for cell, runs in cells.items()}
    method, loss = best = max(value, key=lambda cell: value[cell])
    seeds = len(cells[best])
    recalls = spread([100 * r.scores["macro_recall"] for r in cells[best].values()])
    text = f"{method} + {loss} has the highest mean recall on {grid.target}, {recalls} %"
    if loss != BASE and (base := grid.base(method)):
        gain, p = paired(cells[best], base)
        p = "" if p == "–" else p if p.startswith("<") else f"= {p}"
        text += f", {gain} points over cross-entropy" + (f" (p {p}, {seeds} seeds)" if p else "")
        text += _classes_that_moved(grid, method, loss)
    elif loss == BASE and len(grid.losses) > 1:
        text += "; no loss gained over cross-entropy there"
    elif loss != BASE:
        text += "; there is no run with cross-entropy to compare it with"
    return text + (". One seed: an anecdote, not a result." if seeds == 1 else ".")


def _unscored_sentence(grid: Grid) -> str:
    selection = select(grid)
    text = f"{grid.target} has no labels: how good a cell is on it is unknown"
    if selection is None:
        return f"{text}, and none can be chosen: outputs.npz of a run is missing."
    return f"{text}. Take {selection.chosen.name}, chosen by {CHOSEN_BY} among {len(selection.candidates)}."


def _classes_that_moved(grid: Grid, method: str, loss: str) -> str:
    def average(name: str) -> list[float]:
        rows = [r.scores["recall"] for r in grid.of(method, name).values()]
        return [mean(v or 0.0 for v in column) for column in zip(*rows, strict=True)]

    change = [100 * (b - a) for a, b in zip(average(BASE), average(loss), strict=True)]
    order = sorted(range(len(change)), key=lambda k: change[k])
    names = grid.classes
    return (
        f"; {names[order[-1]]} gains most ({change[order[-1]]:+.0f}), {names[order[0]]} least ({change[order[0]]:+.0f})"
    )
