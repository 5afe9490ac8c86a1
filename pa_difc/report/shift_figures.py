"""The figures of a label-shift sweep: scores over α, with bars for the spread over draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import numpy as np

from .drawing import COLORS, Figure, within
from .page import html_figure
from .shift import METRICS, PLAIN, Line, alpha_name, severities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":", "-.")
#: All lines' points at one α are within this distance, in which 1 is the distance to the next α.
_SPREAD_OUT = 0.3


def write_figures(lines: Sequence[Line], metric: str, name: str, out: Path, formats: Sequence[str]) -> list[str]:
    """A figure for each correction as HTML; also writes it below figures/.

    Args:
        lines: of the sweep.
        metric: of the scores.
        name: the metric's name for people.
        out: the page's folder.
        formats: of the files.
    """
    shown = []
    several = any(len(scores) > 1 for line in lines for scores in line.scores.values())
    caption = "Bars: ± standard deviation over draws, cut at 0 and 100 %." if several else ""
    for variant in dict.fromkeys(line.variant for line in lines):
        chosen = [line for line in lines if line.variant == variant]
        draw = partial(draw_scores, lines=chosen, metric=metric, all_lines=lines)
        title = f"{name.capitalize()}, {'no correction' if variant == PLAIN else variant}"
        figure = Figure(title, draw, (5.4, 3.6), caption)
        shown.append(html_figure(figure.title, figure.for_page(), figure.caption))
        figure.write(out / "figures" / f"{metric}-{variant.replace(' + ', '-')}", formats)
    return shown


def draw_scores(ax: Axes, lines: Sequence[Line], metric: str, all_lines: Sequence[Line]) -> None:
    """Draws a line per method and loss: colours for losses, dashes for methods, on one scale for all corrections."""
    alphas = severities(all_lines)
    losses, methods = (list(dict.fromkeys(getattr(x, part) for x in all_lines)) for part in ("loss", "method"))
    for i, line in enumerate(lines):
        known = [(j, values) for j, a in enumerate(alphas) if (values := line.values(a, metric))]
        x = [j + _SPREAD_OUT * ((i + 0.5) / len(lines) - 0.5) for j, _ in known]
        y, bars = (np.array([of(values) for _, values in known], dtype=float) for of in (mean, _deviation))
        ax.errorbar(
            x, y, yerr=within(y, bars), ls=_STYLES[methods.index(line.method) % len(_STYLES)], marker="o", ms=3,
            color=COLORS[losses.index(line.loss) % len(COLORS)], elinewidth=0.8, capsize=1.5, capthick=0.8,
            label=f"{line.method} · {line.loss}",
        )  # fmt: skip
    ax.set_xticks(range(len(alphas)), [alpha_name(a) for a in alphas])
    every = [values for x in all_lines for a in alphas if (values := x.values(a, metric))]
    ends = [mean(values) + sign * _deviation(values) for values in every for sign in (-1, 1)]
    ax.set(xlim=(-0.3, len(alphas) - 0.7), ylim=(max(-2, min(ends) - 2), min(102, max(ends) + 2)))
    ax.set(xlabel="stronger shift →", ylabel=f"{METRICS[metric].capitalize()} (%)")


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
