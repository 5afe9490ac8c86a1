"""The figures of a grid's report, each as the text of an SVG."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .classes import class_names, label_classes, trajectory
from .embedding import by_class, by_domain, embed
from .grid import BASE, DIFC, Grid
from .matrix import matrix, matrix_size
from .page import BLUE, COLORS, GRAY, GREEN, ORANGE, svg
from .run import Array, Run
from .tables import sides

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 10
_SHOWN = 4  #: losses in a figure with bars
_UPRIGHT = 10  #: so many classes have upright bars, more have bars that lie

#: Width and height of figures of features, in inches.
_TALL = (5.4, 4.2)


def figures(grid: Grid) -> dict[str, dict[str, str]]:
    """Every figure that the runs have data for: heading → title → SVG."""
    counted = {"Class proportions": svg(partial(imbalance, grid=grid), _bar_size(grid, 2))} if sides(grid) else {}
    drawn = {"Data": counted} if counted else {}
    return drawn | {method: _of_method(grid, method) for method in grid.methods}


def _of_method(grid: Grid, method: str) -> dict[str, str]:
    """A method's recalls over losses, and what one of its runs shows: the first with DIFC if there is any.

    Of a target without labels: its predictions instead of recalls, and features by what they were predicted to be.
    """
    bars, what = (recalls, "recall per class") if grid.labelled else (predicted, "predicted classes")
    size = _bar_size(grid, len(_compared(grid, method)))
    drawn = {f"{method}: {what}": svg(partial(bars, grid=grid, method=method), size)}
    runs = [run for loss in (*grid.variants(DIFC), *grid.losses) for run in grid.of(method, loss).values()]
    return drawn | _of_run(runs[0], f"{method} · {runs[0].cell[1]}")


def _of_run(run: Run, name: str) -> dict[str, str]:
    drawn = {}
    for key in ("margins", "confusion"):
        if run.states and all(key in state for _, state in run.states):
            drawn[f"{name}: {key}"] = svg(partial(trajectory, run=run, key=key))
    if run.outputs:
        points = embed(run)
        if run.labelled:
            drawn[f"{name}: reliability"] = svg(partial(reliability, outputs=run.outputs))
        drawn[f"{name}: features by class"] = svg(partial(by_class, points=points, names=class_names(run)), _TALL)
        drawn[f"{name}: features by domain"] = svg(partial(by_domain, points=points), _TALL)
    if run.labelled:
        drawn[f"{name}: confusion matrix"] = svg(partial(matrix, run=run), matrix_size(len(run.classes)))
    return drawn


def imbalance(ax: Axes, grid: Grid) -> None:
    """Shares of the classes in both training sets (Fig. 1), or in the source's alone."""
    data = grid.runs[0].record["data"]
    shares = {}
    for side in sides(grid):
        counts = np.array(data[side]["train_counts"], dtype=float)
        name = grid.source if side == "source" else f"{grid.target} (labels never seen)"
        shares[f"{side}: {name}"] = 100 * counts / counts.sum()
    _grouped_bars(ax, grid, shares, (BLUE, ORANGE), "share of the training set (%)")


def recalls(ax: Axes, grid: Grid, method: str) -> None:
    """Recall per class on the target, mean over seeds, of up to four losses."""

    def percent(run: Run) -> list[float]:
        return [np.nan if r is None else 100 * r for r in run.scores["recall"]]

    _grouped_bars(ax, grid, _by_loss(grid, method, percent), COLORS, "recall on the target (%)")


def predicted(ax: Axes, grid: Grid, method: str) -> None:
    """What the target's faces are predicted to be, mean over seeds, of up to four losses."""

    def percent(run: Run) -> list[float]:
        counts = np.array(run.record["scores"]["unlabelled_target"]["predicted"], dtype=float)
        shares: list[float] = (100 * counts / counts.sum()).tolist()
        return shares

    _grouped_bars(ax, grid, _by_loss(grid, method, percent), COLORS, "share of the target's predictions (%)")


def reliability(ax: Axes, outputs: dict[str, Array]) -> None:
    """Accuracy against confidence on the target, and the expected calibration error."""
    probs, labels = outputs["target_probs"], outputs["target_labels"]
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = [b for b in range(_BINS) if (bins == b).any()]
    x = [float(confidence[bins == b].mean()) for b in filled]
    y = [float(right[bins == b].mean()) for b in filled]
    error = sum(float((bins == b).mean()) * abs(p - q) for b, p, q in zip(filled, x, y, strict=True))
    ax.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--", label="calibrated")
    ax.plot(x, y, "o-", color=BLUE, label=f"ECE {100 * error:.1f} %")
    shares = [float((bins == b).mean()) for b in range(_BINS)]
    ax.bar(np.arange(_BINS) / _BINS + 0.05, shares, 0.09, color=GREEN, alpha=0.3, label="share of faces")
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))


def _compared(grid: Grid, method: str) -> list[str]:
    """The losses of a method that are shown beside each other."""
    first = [loss for name in (BASE, "drw", "di", DIFC) for loss in grid.variants(name)]
    return [loss for loss in dict.fromkeys((*first, *grid.losses)) if grid.of(method, loss)][:_SHOWN]


def _by_loss(grid: Grid, method: str, percent: Callable[[Run], list[float]]) -> dict[str, Array]:
    """Means over seeds ``(K,)`` by loss."""
    losses = _compared(grid, method)
    return {loss: np.mean([percent(run) for run in grid.of(method, loss).values()], axis=0) for loss in losses}


def _grouped_bars(ax: Axes, grid: Grid, values: dict[str, Array], colors: tuple[str, ...], label: str) -> None:
    """Bars for each class side by side, upright or, for many classes, lying."""
    names = class_names(grid.runs[0])
    lying, width = len(names) > _UPRIGHT, 0.8 / len(values)
    for i, (name, heights) in enumerate(values.items()):
        places = np.arange(len(names)) + (i - (len(values) - 1) / 2) * width
        draw = ax.barh if lying else ax.bar
        draw(places, heights, width, color=colors[i], label=name)
    label_classes(ax, names, "y" if lying else "x")
    (ax.set_xlabel if lying else ax.set_ylabel)(label)
    if lying:
        ax.set_ylim(len(names) - 0.4, -0.6)  # the first class at the top


def _bar_size(grid: Grid, bars: int) -> tuple[float, float]:
    """Width and height in inches of a figure with so many bars for each class."""
    k = len(grid.classes)
    return (5.4, 3.2) if k <= _UPRIGHT else (5.4, 0.8 + k * (0.1 + 0.07 * bars))
