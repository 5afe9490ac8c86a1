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
from .shift import METRICS, PLAIN, Alpha, Line, alpha_name, every_draw, severities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":", "-.")
#: All lines' points at one α are within this distance, in which 1 is the distance to the next α.
_SPREAD_OUT = 0.3


def write_figures(lines: Sequence[Line], metric: str, name: str, out: Path, formats: Sequence[str]) -> list[str]:
    """A figure for each correction with scores at several α, as HTML; also writes it below figures/.

    Args:
        lines: of the sweep.
        metric: of the scores.
        name: the metric's name for people.
        out: the page's folder.
        formats: of the files.
    """
    shown = []
    for variant in dict.fromkeys(variant for line in lines for variant in line.variants):
        chosen = [line for line in lines if variant in line.variants]
        if not any(len(points(line, metric)) > 1 for line in chosen):
            continue  # the table says as much as single points
        draw = partial(draw_scores, lines=chosen, metric=metric, all_lines=lines)
        title = f"{name.capitalize()}, {'no correction' if variant == PLAIN else variant}"
        figure = Figure(title, draw, (5.4, 3.6), _caption(chosen, metric, lines))
        page = figure.write(out / "figures" / f"{metric}-{variant.replace(' + ', '-')}", formats)
        shown.append(html_figure(figure.title, page, figure.caption))
    return shown


def points(line: Line, metric: str) -> list[Alpha]:
    """The α at which a line has a score."""
    return [alpha for alpha in severities([line]) if line.draws(alpha, metric)]


def _caption(chosen: Sequence[Line], metric: str, lines: Sequence[Line]) -> str:
    several = any(len(line.draws(alpha, metric)) > 1 for line in chosen for alpha in line.scores)
    fewer = any(_partial(line, alpha, metric, lines) for line in chosen for alpha in line.scores)
    said = ["Bars: ± standard deviation over draws, cut at 0 and 100 %."] if several else []
    return " ".join([*said, *(["Ringed: over fewer draws than others, which the table names."] if fewer else [])])


def _partial(line: Line, alpha: Alpha, metric: str, lines: Sequence[Line]) -> bool:
    return 0 < len(line.draws(alpha, metric)) < len(every_draw(lines, alpha, metric))


def draw_scores(ax: Axes, lines: Sequence[Line], metric: str, all_lines: Sequence[Line]) -> None:
    """Draws a line per method and loss: colours for losses, dashes for methods, on one scale for all corrections."""
    alphas = severities(all_lines)
    losses, methods = (list(dict.fromkeys(getattr(x, part) for x in all_lines)) for part in ("loss", "method"))
    for i, line in enumerate(lines):
        known = [(j, values) for j, a in enumerate(alphas) if (values := line.values(a, metric))]
        x = [j + _SPREAD_OUT * ((i + 0.5) / len(lines) - 0.5) for j, _ in known]
        y, bars = (np.array([of(values) for _, values in known], dtype=float) for of in (mean, _deviation))
        color = COLORS[losses.index(line.loss) % len(COLORS)]
        ax.errorbar(
            x, y, yerr=within(y, bars), ls=_STYLES[methods.index(line.method) % len(_STYLES)], marker="o", ms=3,
            color=color, elinewidth=0.8, capsize=1.5, capthick=0.8,
            label=f"{line.method} · {line.loss}",
        )  # fmt: skip
        fewer = [i for i, (j, _) in enumerate(known) if _partial(line, alphas[j], metric, all_lines)]
        ax.plot([x[i] for i in fewer], y[fewer], "o", ms=8, mfc="none", mec=color, mew=0.8)
    ax.set_xticks(range(len(alphas)), [alpha_name(a) for a in alphas])
    every = [values for x in all_lines for a in alphas if (values := x.values(a, metric))]
    ends = [mean(values) + sign * _deviation(values) for values in every for sign in (-1, 1)]
    ax.set(xlim=(-0.3, len(alphas) - 0.7), ylim=(max(-2, min(ends) - 2), min(102, max(ends) + 2)))
    ax.set(xlabel="stronger shift →", ylabel=f"{METRICS[metric].capitalize()} (%)")


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
