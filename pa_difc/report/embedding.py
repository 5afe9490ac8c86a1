"""Figures of features: t-SNE of both domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .drawing import BLUE, ORANGE, line_style
from .run import Array, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EMBEDDED = 250  #: most points per domain; the time is more than proportional to them

#: Positions ``(n, 2)``, classes ``(n,)`` and domains ``(n,)``.
Points = tuple[Array, Array, Array]


def embed(run: Run) -> Points:
    """t-SNE of a run's test features in both domains, as in the paper's Fig. 2.

    Takes at most 250 faces per split, equally many of each class as far as there are. For a target without labels,
    predictions replace them.

    Args:
        run: whose outputs were kept.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    outputs = run.outputs or {}
    features, labels = [], []
    for side in ("source", "target"):
        kept = outputs[f"{side}_kept"]
        known = run.labelled or side == "source"
        of_all = outputs[f"{side}_labels"] if known else outputs[f"{side}_probs"].argmax(axis=1)
        shown = evenly_by_class(of_all[kept], _EMBEDDED)
        features.append(outputs[f"{side}_features"][shown].astype(np.float32))
        labels.append(of_all[kept[shown]])
    domains = np.repeat([0, 1], [len(part) for part in features])
    perplexity = max(1, min(30, (len(domains) - 1) // 3))
    with threadpool_limits(1):  # on cores that others use too, several threads mostly wait for each other
        points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(np.concatenate(features))
    return points, np.concatenate(labels), domains


def evenly_by_class(labels: Array, most: int) -> Array:
    """The places of at most so many faces, in order: equally many of each class, as far as there are.

    Args:
        labels: ``(N,)`` classes.
        most: how many to take.
    """
    mixed = np.random.default_rng(0).permutation(len(labels))
    turns = np.zeros(len(labels), dtype=int)  # the first face of each class has turn 0, the second 1, and so on
    for k in np.unique(labels):
        own = mixed[labels[mixed] == k]
        turns[own] = np.arange(len(own))
    return np.sort(mixed[np.argsort(turns[mixed], kind="stable")[:most]])


def caption_of(points: Points) -> str:
    """What a figure of the points shows of the faces."""
    source, target = np.bincount(points[2], minlength=2)
    where = f"{source:,} of the source and {target:,} of the target" if source else "of the target"
    return f"t-SNE of {source + target:,} test faces, {where}, equally many of each class where there are enough."


def by_class(ax: Axes, points: Points, names: Sequence[str]) -> None:
    """Draws source samples small and target samples large, in the colour and marker of their class."""
    positions, labels, domains = points
    for k, name in enumerate(names):
        style = line_style(k)
        for domain, size in ((0, 5), (1, 16)):
            chosen = (labels == k) & (domains == domain)
            x, y = positions[chosen].T
            label = name if domain else None
            look = {"color": style["color"], "marker": style["marker"], "lw": 0, "alpha": 0.8, "rasterized": True}
            ax.scatter(x, y, s=size, label=label, **look)
    _no_axes(ax)


def by_domain(ax: Axes, points: Points) -> None:
    """Draws the samples in the colour of their domain: they mix where adaptation worked."""
    positions, _, domains = points
    for domain, name, color in ((0, "source", BLUE), (1, "target", ORANGE)):
        x, y = positions[domains == domain].T
        ax.scatter(x, y, s=8, color=color, label=name, lw=0, alpha=0.7, rasterized=True)
    _no_axes(ax)


def _no_axes(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[], xlabel="t-SNE")
