"""The figures of a grid's report."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..util.bars import tqdm
from ..util.names import cell_name
from .classes import class_names, label_classes, trajectory
from .drawing import BLUE, COLORS, GRAY, GREEN, ORANGE, Figure, error_style, line_style, within
from .embedding import by_class, by_domain, caption_of, embed
from .grid import BASE, DIFC, Grid, over_seeds
from .matrix import matrix, matrix_size
from .run import Array, Run
from .tables import sides

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The heading of the figures on the data.
DATA = "Data"

#: The steps of a method with several optimisers, and the parts of a loss's name, in words.
_STEPS = {"x_loss": "step 1:", "y_loss": "step 2:", "z_loss": "step 3:"}
_WORDS = {"src": "source", "c": "classification", "bnm": "BNM"}

_BINS = 10
_SHOWN = 4  #: most losses in a bar chart
_UPRIGHT = 10  #: up to this many classes have vertical bars, more have horizontal ones

#: Width and height of feature plots, in inches.
_TALL = (5.4, 4.2)


def figures(grid: Grid) -> dict[str, list[Figure]]:
    """All figures that the runs have data for, by heading."""
    counted = [Figure("Class proportions", partial(imbalance, grid=grid), _bar_size(grid, 2))] if sides(grid) else []
    methods = tqdm(grid.methods, desc="report: feature plots", unit="method", leave=False, disable=None)
    return ({DATA: counted} if counted else {}) | {method: _of_method(grid, method) for method in methods}


def _of_method(grid: Grid, method: str) -> list[Figure]:
    """A method's recalls by loss, and the figures of one of its losses: DIFC if there is such a run.

    For a target without labels, predicted classes replace recalls and true classes.
    """
    bars, what = (recalls, "recall per class") if grid.labelled else (predicted, "predicted classes")
    losses = _compared(grid, method)
    by_loss = [list(grid.of(method, loss).values()) for loss in losses]
    over = over_seeds([run for runs in by_loss for run in runs])
    over += " Deviations are cut at 0 and 100 %." * any(len(runs) > 1 for runs in by_loss)
    draw, size = partial(bars, grid=grid, method=method), _bar_size(grid, len(losses))
    drawn = [Figure(f"{method}: {what}", draw, size, over)]
    shown = next(loss for loss in (*grid.variants(DIFC), *grid.losses) if grid.of(method, loss))
    runs = list(grid.of(method, shown).values())
    histories = [run.record["history"] for run in runs]
    if len(histories[0]) > 1 and any(epoch["losses"] for history in histories for epoch in history):
        caption = over_seeds(runs)
        drawn.append(
            Figure(
                f"{cell_name(method, shown, ' · ')}: training losses",
                partial(losses_by_epoch, runs=runs),
                caption=caption,
            )
        )
    return drawn + _of_run(runs[0], cell_name(method, shown, " · "))


def _of_run(run: Run, name: str) -> list[Figure]:
    drawn, seed = [], f"Seed {run.cell[2]}."
    for key in ("margins", "confusion"):
        if len(run.states) > 1 and all(key in state for _, state in run.states):
            drawn.append(Figure(f"{name}: {key}", partial(trajectory, run=run, key=key), caption=seed))
    if run.outputs:
        points = embed(run)
        if run.labelled:
            caption = f"{seed} Numbers: faces in a bin, of {len(run.outputs['target_labels']):,}."
            drawn.append(Figure(f"{name}: reliability", partial(reliability, outputs=run.outputs), caption=caption))
        by = partial(by_class, points=points, names=class_names(run))
        of = f"{seed} {caption_of(points)}"
        drawn.append(Figure(f"{name}: features by class", by, _TALL, of))
        drawn.append(Figure(f"{name}: features by domain", partial(by_domain, points=points), _TALL, of))
    if run.labelled:
        size = matrix_size(len(run.classes))
        drawn.append(Figure(f"{name}: confusion matrix", partial(matrix, run=run), size, seed))
    return drawn


def imbalance(ax: Axes, grid: Grid) -> None:
    """Draws class proportions of both training sets (the paper's Fig. 1), or of the labelled one."""
    data = grid.runs[0].record["data"]
    shares = {}
    for side in sides(grid):
        counts = np.array(data[side]["train_counts"], dtype=float)
        name = grid.source if side == "source" else f"{grid.target} (labels never seen)"
        shares[f"{side}: {name}"] = 100 * counts[None] / counts.sum()
    _grouped_bars(ax, grid, shares, (BLUE, ORANGE), "share of the training set (%)")


def recalls(ax: Axes, grid: Grid, method: str) -> None:
    """Draws recall per class on the target, mean over seeds, for up to four losses."""

    def percent(run: Run) -> list[float]:
        return [np.nan if r is None else 100 * r for r in run.scores["recall"]]

    _grouped_bars(ax, grid, _by_loss(grid, method, percent), COLORS, "recall on the target (%)")


def predicted(ax: Axes, grid: Grid, method: str) -> None:
    """Draws the shares of predicted classes on the target, mean over seeds, for up to four losses."""

    def percent(run: Run) -> list[float]:
        counts = np.array(run.record["scores"]["unlabelled_target"]["predicted"], dtype=float)
        shares: list[float] = (100 * counts / counts.sum()).tolist()
        return shares

    _grouped_bars(ax, grid, _by_loss(grid, method, percent), COLORS, "share of the target's predictions (%)")


def losses_by_epoch(ax: Axes, runs: Sequence[Run]) -> None:
    """Draws every term of the training loss by epoch, mean and standard deviation over seeds."""
    histories = [run.record["history"] for run in runs]
    epochs = [epoch["epoch"] for epoch in histories[0]]
    names = list(dict.fromkeys(name for history in histories for epoch in history for name in epoch["losses"]))
    for k, name in enumerate(names):
        values = np.array([[e["losses"].get(name, np.nan) for e in h] for h in histories], dtype=float)  # (S, E)
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
        look = {"label": loss_name(name), **line_style(k), **error_style()}
        ax.errorbar(epochs, values.mean(axis=0), spread, ms=3, lw=1.2, **look)
    ax.set(xlabel="epoch", ylabel="training loss")
    ax.locator_params(axis="x", integer=True)


def loss_name(key: str) -> str:
    """A term of the training loss in words, such as "step 2: source classification, head 1"."""
    step, _, term = key.rpartition("/")
    words = [_WORDS.get(word, word) for word in re.sub(r"_loss|\d+$", "", term).split("_")]
    head = f", head {int(found[0]) + 1}" if (found := re.search(r"\d+$", term)) else ""
    return " ".join(filter(None, [_STEPS.get(step, ""), *words])) + head


def reliability(ax: Axes, outputs: dict[str, Array]) -> None:
    """Draws a reliability diagram on the target, with faces per bin and the expected calibration error (ECE)."""
    probs, labels = outputs["target_probs"], outputs["target_labels"]
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    filled = np.flatnonzero(counts)
    x = [float(confidence[bins == b].mean()) for b in filled]
    y = [float(right[bins == b].mean()) for b in filled]
    error = sum(counts[b] / len(bins) * abs(p - q) for b, p, q in zip(filled, x, y, strict=True))
    places = np.arange(_BINS) / _BINS + 0.05
    ax.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--", label="calibrated")
    ax.bar(places, counts / len(bins), 0.09, color=GREEN, alpha=0.3, label="share of faces")
    ax.plot(x, y, "o-", color=BLUE, label=f"ECE {100 * error:.1f} %")
    for b in filled:  # at the top, where a sensible classifier has no bar or line
        ax.annotate(f"{counts[b]:,}", (places[b], 1.05), ha="center", va="bottom", fontsize=7, annotation_clip=False)
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.12), yticks=np.linspace(0, 1, 6))


def _compared(grid: Grid, method: str) -> list[str]:
    """A method's losses to show side by side: the steps from cross-entropy to DIFC first."""
    first = [loss for name in (BASE, "drw", "di", DIFC) for loss in grid.variants(name)]
    return [loss for loss in dict.fromkeys((*first, *grid.losses)) if grid.of(method, loss)][:_SHOWN]


def _by_loss(grid: Grid, method: str, percent: Callable[[Run], list[float]]) -> dict[str, Array]:
    """Values ``(S, K)`` by loss, a row for each of S seeds."""
    losses = _compared(grid, method)
    return {loss: np.array([percent(run) for run in grid.of(method, loss).values()]) for loss in losses}


def _grouped_bars(ax: Axes, grid: Grid, values: dict[str, Array], colors: tuple[str, ...], label: str) -> None:
    """Draws bars side by side for each class, horizontal if there are many: means over seeds and their spread."""
    names = class_names(grid.runs[0])
    lying, width = len(names) > _UPRIGHT, 0.8 / len(values)
    for i, (name, found) in enumerate(values.items()):
        places = np.arange(len(names)) + (i - (len(values) - 1) / 2) * width
        draw, error = (ax.barh, "xerr") if lying else (ax.bar, "yerr")
        means, bars = found.mean(axis=0), dict[str, Any]()
        if len(found) > 1:
            bars = {error: within(means, found.std(axis=0, ddof=1)), "error_kw": error_style()}
        draw(places, means, width, color=colors[i], label=name, **bars)
    label_classes(ax, names, "y" if lying else "x")
    (ax.set_xlabel if lying else ax.set_ylabel)(label)
    if lying:
        ax.set_ylim(len(names) - 0.4, -0.6)  # the first class at the top


def _bar_size(grid: Grid, bars: int) -> tuple[float, float]:
    """Width and height in inches of a figure with ``bars`` bars per class."""
    k = len(grid.classes)
    return (5.4, 3.2) if k <= _UPRIGHT else (5.4, 0.8 + k * (0.1 + 0.07 * bars))
