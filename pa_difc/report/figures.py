"""The figures of a grid's report, each as the text of an SVG."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from sklearn.manifold import TSNE

from ..data.labels import EXPRESSIONS
from .grid import Grid, Run
from .page import BLUE, COLORS, GRAY, GREEN, ORANGE, svg
from .tables import BASE

_BINS = 10
_EMBEDDED = 500  #: points of a domain in a picture of features

#: Width and height of figures that need room, in inches.
_TALL = (5.0, 4.2)


def figures(grid: Grid) -> dict[str, dict[str, str]]:
    """Every figure that the runs have data for: heading → title → SVG."""
    drawn = {"Data": {"Class proportions": svg(lambda ax: imbalance(ax, grid))}}
    return drawn | {method: _of_method(grid, method) for method in grid.methods}


def _of_method(grid: Grid, method: str) -> dict[str, str]:
    """A method's recalls over losses, and what DIFC's first run shows, or else the first run that there is.

    Of a target without labels: its predictions instead of recalls, and features by what they were predicted to be.
    """
    bars, what = (recalls, "recall per class") if grid.labelled else (predicted, "predicted classes")
    drawn = {f"{method}: {what}": svg(lambda ax: bars(ax, grid, method))}
    run = _first(grid, method, "difc") or next(r for k in grid.losses if (r := _first(grid, method, k)))
    name = f"{method} · {run.cell[1]}"
    if any("difc" in h for h in run.record["history"]):
        drawn[f"{name}: margins"] = svg(lambda ax: trajectory(ax, run, "margins"))
        drawn[f"{name}: confusion"] = svg(lambda ax: trajectory(ax, run, "confusion"))
    if run.outputs:
        points = embed(run)
        if run.labelled:
            drawn[f"{name}: reliability"] = svg(lambda ax: reliability(ax, run))
        drawn[f"{name}: features by class"] = svg(lambda ax: by_class(ax, *points), _TALL)
        drawn[f"{name}: features by domain"] = svg(lambda ax: by_domain(ax, *points), _TALL)
    if run.labelled:
        drawn[f"{name}: confusion matrix"] = svg(lambda ax: matrix(ax, run), _TALL)
    return drawn


def imbalance(ax: Axes, grid: Grid) -> None:
    """Shares of the classes in both training sets (Fig. 1), or in the source's alone."""
    data = grid.runs[0].record["data"]
    for i, (side, color) in enumerate((("source", BLUE), ("target", ORANGE))[: 1 + grid.labelled]):
        counts = np.array(data[side]["train_counts"], dtype=float)
        name = grid.source if side == "source" else f"{grid.target} (labels never seen)"
        ax.bar(np.arange(len(counts)) + 0.4 * i - 0.2, 100 * counts / counts.sum(), 0.4, color=color, label=name)
    _classes(ax, "share of the training set (%)")


def recalls(ax: Axes, grid: Grid, method: str) -> None:
    """Recall per class on the target, mean over seeds, of up to four losses."""

    def percent(run: Run) -> list[float]:
        return [np.nan if r is None else 100 * r for r in run.scores["recall"]]

    _bars_by_loss(ax, grid, method, percent)
    _classes(ax, "recall on the target (%)")


def predicted(ax: Axes, grid: Grid, method: str) -> None:
    """What the target's faces are predicted to be, mean over seeds, of up to four losses."""

    def percent(run: Run) -> list[float]:
        counts = np.array(run.record["scores"]["unlabelled_target"]["predicted"])
        return (100 * counts / counts.sum()).tolist()

    _bars_by_loss(ax, grid, method, percent)
    _classes(ax, "share of the target's predictions (%)")


def _bars_by_loss(ax: Axes, grid: Grid, method: str, percent: Callable[[Run], list[float]]) -> None:
    losses = [loss for loss in (BASE, "drw", "di", "difc", *grid.losses) if grid.of(method, loss)]
    losses = list(dict.fromkeys(losses))[:4]
    width = 0.8 / len(losses)
    for i, loss in enumerate(losses):
        values = [percent(run) for run in grid.of(method, loss).values()]
        x = np.arange(len(EXPRESSIONS)) + (i - (len(losses) - 1) / 2) * width
        ax.bar(x, np.mean(values, axis=0), width, color=COLORS[i], label=loss)


def trajectory(ax: Axes, run: Run, key: str) -> None:
    """A value per class over epochs, with the moments at which re-weighting and confusion begin."""
    entries = [(h["epoch"], h["difc"]) for h in run.record["history"] if "difc" in h]
    for k, name in enumerate(EXPRESSIONS):
        values = [np.nan if e[key][k] in (None, "inf") else float(e[key][k]) for _, e in entries]
        ax.plot([epoch for epoch, _ in entries], values, "o-", ms=3, color=COLORS[k], label=name)
    switches = {
        "class weights": next((n for n, e in entries if e["reweighted"]), None),
        "confusion": next((n for n, e in entries if e["phase"] == "difc"), None),
    }
    for first in sorted({n for n in switches.values() if n is not None}):
        begun = " and ".join(name for name, n in switches.items() if n == first)
        place, where = (first - 0.5, 0.5), ("data", "axes fraction")
        ax.axvline(first - 0.5, color=ORANGE, ls="--", lw=1)
        ax.annotate(f"{begun} →", place, xycoords=where, fontsize=7, rotation=90, va="center", ha="right", color=GRAY)
    labels = {"margins": "margin (logits)", "confusion": "confusion (1 / mean gap)"}
    ax.set(xlabel="epoch", ylabel=labels[key], xlim=(entries[0][0] - 0.6, entries[-1][0] + 0.2))
    ax.xaxis.get_major_locator().set_params(integer=True)


def matrix(ax: Axes, run: Run) -> None:
    """Confusion matrix on the target, in % of the true class."""
    counts = np.array(run.scores["confusion"], dtype=float)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True).clip(1)
    ax.imshow(shares, cmap="cividis", vmin=0, vmax=100)
    for i, j in np.ndindex(shares.shape):
        if counts[i].sum():
            ax.text(
                j,
                i,
                f"{shares[i, j]:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="w" if shares[i, j] < 60 else "k",
            )
    ax.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=30)
    ax.set_yticks(range(len(EXPRESSIONS)), EXPRESSIONS)
    ax.set(xlabel="predicted", ylabel="true")


def reliability(ax: Axes, run: Run) -> None:
    """Accuracy against confidence on the target, and the expected calibration error."""
    probs, labels = run.outputs["target_probs"], run.outputs["target_labels"]
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = [b for b in range(_BINS) if (bins == b).any()]
    x = [confidence[bins == b].mean() for b in filled]
    y = [right[bins == b].mean() for b in filled]
    error = sum((bins == b).mean() * abs(p - q) for b, p, q in zip(filled, x, y, strict=True))
    ax.plot([0, 1], [0, 1], color=GRAY, lw=1, ls="--", label="calibrated")
    ax.plot(x, y, "o-", color=BLUE, label=f"ECE {100 * error:.1f} %")
    ax.bar(
        np.arange(_BINS) / _BINS + 0.05,
        [(bins == b).mean() for b in range(_BINS)],
        0.09,
        color=GREEN,
        alpha=0.3,
        label="share of faces",
    )
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))


def embed(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t-SNE of features of both test splits (Fig. 2): points ``(n, 2)``, labels and domains ``(n,)``.

    Of each split at most 500, evenly spaced. Of a target without labels: predictions in their place.
    """
    features, labels = [], []
    for side in ("source", "target"):
        kept = run.outputs[f"{side}_kept"]
        shown = np.linspace(0, len(kept) - 1, min(len(kept), _EMBEDDED)).astype(int)
        known = run.labelled or side == "source"
        of_all = run.outputs[f"{side}_labels"] if known else run.outputs[f"{side}_probs"].argmax(axis=1)
        features.append(run.outputs[f"{side}_features"][shown].astype(np.float32))
        labels.append(of_all[kept[shown]])
    domains = np.repeat([0, 1], [len(part) for part in features])
    perplexity = min(30, (len(domains) - 1) // 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(np.concatenate(features))
    return points, np.concatenate(labels), domains


def by_class(ax: Axes, points: np.ndarray, labels: np.ndarray, domains: np.ndarray) -> None:
    """Source samples small, target samples large, coloured by class."""
    for k, name in enumerate(EXPRESSIONS):
        for domain, size in ((0, 5), (1, 16)):
            chosen = (labels == k) & (domains == domain)
            label = name if domain else None
            ax.scatter(*points[chosen].T, s=size, color=COLORS[k], label=label, lw=0, alpha=0.8)
    _no_axes(ax)


def by_domain(ax: Axes, points: np.ndarray, labels: np.ndarray, domains: np.ndarray) -> None:
    """Coloured by domain: mixed where adaptation worked."""
    for domain, name, color in ((0, "source", BLUE), (1, "target", ORANGE)):
        ax.scatter(*points[domains == domain].T, s=8, color=color, label=name, lw=0, alpha=0.7)
    _no_axes(ax)


def _no_axes(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[], xlabel="t-SNE")


def _classes(ax: Axes, label: str) -> None:
    ax.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=20)
    ax.set_ylabel(label)


def _first(grid: Grid, method: str, loss: str) -> Run | None:
    return next(iter(grid.of(method, loss).values()), None)
