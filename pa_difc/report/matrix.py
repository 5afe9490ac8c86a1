"""The figure of a confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .classes import class_names, label_classes
from .run import Array, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUMBERED = 12  #: up to this many classes, cells have numbers; with more, there is a colour bar instead


def matrix(ax: Axes, run: Run) -> None:
    """Draws the confusion matrix on the target, in % of the true class."""
    counts = np.array(run.scores["confusion"], dtype=float)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True).clip(1)
    image = ax.imshow(shares, cmap="cividis", vmin=0, vmax=100)
    if len(shares) <= _NUMBERED:
        _write_numbers(ax, shares, counts.sum(axis=1))
    else:
        ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02, label="% of the true class")
    names = class_names(run)
    label_classes(ax, names, "x")
    label_classes(ax, names, "y")
    ax.set(xlabel="predicted", ylabel="true")


def matrix_size(k: int) -> tuple[float, float]:
    """Width and height of the figure for K classes, in inches."""
    return (5.0, 4.2) if k <= _NUMBERED else (3.2 + 0.19 * k, 1.6 + 0.19 * k)


def _write_numbers(ax: Axes, shares: Array, totals: Array) -> None:
    for i, j in np.ndindex(*shares.shape):
        if totals[i]:
            color = "w" if shares[i, j] < 60 else "k"
            ax.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", fontsize=7, color=color)
