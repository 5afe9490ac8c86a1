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


def figures(grid: Grid) -> dict[str, str]:
    """Every figure that the runs have data for: title → SVG."""
    drawn: dict[str, Callable[[Axes], None]] = {"Class proportions": lambda ax: imbalance(ax, grid)}
    tall: dict[str, Callable[[Axes], None]] = {}
    for method in grid.methods:
        first = {loss: _first(grid, method, loss) for loss in grid.losses}
        drawn[f"{method}: recall per class"] = lambda ax, m=method: recalls(ax, grid, m)
        run = first.get("difc")
        if run and any("difc" in h for h in run.record["history"]):
            drawn[f"{method} · difc: margins"] = lambda ax, r=run: trajectory(ax, r, "margins")
            drawn[f"{method} · difc: confusion"] = lambda ax, r=run: trajectory(ax, r, "confusion")
        best = run or next((r for r in first.values() if r), None)
        if best and best.outputs:
            tall[f"{method} · {best.cell[1]}: confusion matrix"] = lambda ax, r=best: matrix(ax, r)
            drawn[f"{method} · {best.cell[1]}: reliability"] = lambda ax, r=best: reliability(ax, r)
            points = embed(best)
            tall[f"{method} · {best.cell[1]}: features by class"] = lambda ax, p=points: by_class(ax, *p)
            tall[f"{method} · {best.cell[1]}: features by domain"] = lambda ax, p=points: by_domain(ax, *p)
    pictures = {title: svg(draw) for title, draw in drawn.items()}
    return pictures | {title: svg(draw, (5.0, 4.2)) for title, draw in tall.items()}


def imbalance(ax: Axes, grid: Grid) -> None:
    """Shares of the classes in both training sets (Fig. 1)."""
    data = grid.runs[0].record["data"]
    for i, (side, color) in enumerate((("source", BLUE), ("target", ORANGE))):
        counts = np.array(data[side]["train_counts"], dtype=float)
        name = grid.source if side == "source" else f"{grid.target} (never seen in training)"
        ax.bar(np.arange(len(counts)) + 0.4 * i - 0.2, 100 * counts / counts.sum(), 0.4, color=color, label=name)
    _classes(ax, "share of the training set (%)")


def recalls(ax: Axes, grid: Grid, method: str) -> None:
    """Recall per class on the target, mean over seeds, of up to four losses."""
    losses = [loss for loss in (BASE, "drw", "di", "difc", *grid.losses) if grid.of(method, loss)]
    losses = list(dict.fromkeys(losses))[:4]
    width = 0.8 / len(losses)
    for i, loss in enumerate(losses):
        values = [
            [np.nan if r is None else 100 * r for r in run.scores["recall"]] for run in grid.of(method, loss).values()
        ]
        x = np.arange(len(EXPRESSIONS)) + (i - (len(losses) - 1) / 2) * width
        ax.bar(x, np.mean(values, axis=0), width, color=COLORS[i], label=loss)
    _classes(ax, "recall on the target (%)")


def trajectory(ax: Axes, run: Run, key: str) -> None:
    """A value per class over epochs, with the moments at which re-weighting and confusion begin."""
    entries = [(h["epoch"], h["difc"]) for h in run.record["history"] if "difc" in h]
    for k, name in enumerate(EXPRESSIONS):
        values = [np.nan if e[key][k] in (None, "inf") else float(e[key][k]) for _, e in entries]
        ax.plot([epoch for epoch, _ in entries], values, "o-", ms=3, color=COLORS[k], label=name)
    for first, label, color in (
        (next((n for n, e in entries if e["reweighted"]), None), "class weights", GRAY),
        (next((n for n, e in entries if e["phase"] == "difc"), None), "confusion", ORANGE),
    ):
        if first is not None:
            ax.axvline(first - 0.5, color=color, ls="--", lw=1)
            ax.annotate(
                label,
                (first - 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                fontsize=7,
                color=color,
                rotation=90,
                va="top",
                ha="right",
            )
    ax.set(xlabel="epoch", ylabel={"margins": "margin (logits)", "confusion": "confusion 1 / mean gap"}[key])
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(ncols=2, fontsize=7)


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
    ax.legend()


def embed(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t-SNE of features of both test splits (Fig. 2): points ``(n, 2)``, labels and domains ``(n,)``."""
    parts = [run.outputs[f"{side}_features"].astype(np.float32) for side in ("source", "target")]
    labels = np.concatenate([run.outputs[f"{s}_labels"][run.outputs[f"{s}_kept"]] for s in ("source", "target")])
    features = np.concatenate(parts)
    domains = np.repeat([0, 1], [len(p) for p in parts])
    perplexity = min(30, (len(features) - 1) // 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features), labels, domains


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
    ax.legend(fontsize=7, ncols=2)


def _classes(ax: Axes, label: str) -> None:
    ax.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=20)
    ax.set_ylabel(label)
    ax.legend()


def _first(grid: Grid, method: str, loss: str) -> Run | None:
    return next(iter(grid.of(method, loss).values()), None)
