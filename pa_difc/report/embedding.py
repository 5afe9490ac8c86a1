"""Figures of features: t-SNE of both domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .drawing import BLUE, ORANGE, line_style
from .run import Array, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EMBEDDED = 500  #: most points per domain

#: Positions ``(n, 2)``, classes ``(n,)`` and domains ``(n,)``.
Points = tuple[Array, Array, Array]


def embed(run: Run) -> Points:
    """t-SNE of a run's test features in both domains, as in the paper's Fig. 2.

    Takes at most 500 evenly spaced faces per split. For a target without labels, predictions replace them.

    Args:
        run: whose outputs were kept.
    """
    from sklearn.manifold import TSNE

    outputs = run.outputs or {}
    features, labels = [], []
    for side in ("source", "target"):
        kept = outputs[f"{side}_kept"]
        shown = np.linspace(0, len(kept) - 1, min(len(kept), _EMBEDDED)).astype(int)
        known = run.labelled or side == "source"
        of_all = outputs[f"{side}_labels"] if known else outputs[f"{side}_probs"].argmax(axis=1)
        features.append(outputs[f"{side}_features"][shown].astype(np.float32))
        labels.append(of_all[kept[shown]])
    domains = np.repeat([0, 1], [len(part) for part in features])
    perplexity = max(1, min(30, (len(domains) - 1) // 3))
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(np.concatenate(features))
    return points, np.concatenate(labels), domains


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
