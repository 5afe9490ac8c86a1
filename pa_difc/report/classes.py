"""Parts of figures with a value per class, and the figure of a loss's state over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from .drawing import GRAY, line_style
from .grid import DIFC
from .run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 18  #: most letters of a class's name in a figure
#: Total letters of an axis's labels, and the degrees by which they are turned from that many on.
_TURNED = ((0, 0), (30, 20), (60, 40), (120, 90))


def class_names(run: Run) -> list[str]:
    """The class names, long ones cut, as figures show them."""
    return [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in run.classes]


def label_classes(ax: Axes, names: Sequence[str], side: Literal["x", "y"]) -> None:
    """Adds a tick for each class; on the x axis, names are turned until they fit."""
    if side == "y":
        ax.set_yticks(range(len(names)), names)
        return
    letters = len(names) * (max(map(len, names)) + 1)
    angle = max(angle for least, angle in _TURNED if letters >= least)
    ax.set_xticks(range(len(names)), names, rotation=angle, ha="right" if 0 < angle < 90 else "center")
    ax.tick_params(axis="x", pad=2)
    for label in ax.get_xticklabels():
        label.set_rotation_mode("anchor" if 0 < angle < 90 else "default")


def trajectory(ax: Axes, run: Run, key: Literal["margins", "confusion"]) -> None:
    """Draws a value per class over epochs, and marks where re-weighting and confusion begin."""
    for k, name in enumerate(class_names(run)):
        values = [np.nan if s[key][k] in (None, "inf", "-inf") else float(s[key][k]) for _, s in run.states]
        ax.plot([epoch for epoch, _ in run.states], values, ms=3, lw=1.2, label=name, **line_style(k))
    switches = {
        "weights start": next((epoch for epoch, state in run.states if state.get("reweighted")), None),
        "confusion starts": next((epoch for epoch, state in run.states if state.get("phase") == DIFC), None),
    }
    for dashes, first in zip(("--", ":"), sorted({n for n in switches.values() if n is not None}), strict=False):
        begun = [name for name, n in switches.items() if n == first]
        ax.axvline(first - 0.5, color=GRAY, ls=dashes, lw=1.2, label=begun[0] if len(begun) == 1 else "both start")
    labels = {"margins": "margin (logits)", "confusion": "confusion (1 / mean gap)"}
    epochs = [epoch for epoch, _ in run.states]
    ax.set(xlabel="epoch", ylabel=labels[key], xlim=(epochs[0] - 0.6, epochs[-1] + 0.2))
    ax.locator_params(axis="x", integer=True)
