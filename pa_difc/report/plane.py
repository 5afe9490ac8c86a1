"""The plot of all cells of a grid: accuracy against mean recall or, without labels, two criteria."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isnan
from statistics import mean
from typing import TYPE_CHECKING, Any

from ..util.names import cell_name
from ..util.numbers import fixed, spread
from .drawing import COLORS, GRAY, Figure
from .grid import BASE, Grid
from .labels import Place, Span, places
from .lead import equally_good
from .run import AS_IS
from .selection import Selection
from .tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The losses' markers: matplotlib's name, and the same as an SVG path in the square from -1 to 1.
SHAPES = {
    "o": "M-0.9,0a0.9,0.9 0 1,0 1.8,0a0.9,0.9 0 1,0 -1.8,0Z",
    "s": "M-0.8,-0.8H0.8V0.8H-0.8Z",
    "^": "M0,-0.95L0.95,0.75H-0.95Z",
    "D": "M0,-1.05L1.05,0L0,1.05L-1.05,0Z",
    "P": "M-0.32,-1H0.32V-0.32H1V0.32H0.32V1H-0.32V0.32H-1V-0.32H-0.32Z",
    "v": "M0,0.95L0.95,-0.75H-0.95Z",
    ">": "M0.95,0L-0.75,0.95V-0.95Z",
    "X": "M-1,-0.5L-0.5,-1L0,-0.5L0.5,-1L1,-0.5L0.5,0L1,0.5L0.5,1L0,0.5L-0.5,1L-1,0.5L-0.5,0Z",
}
#: Width and height of the figure in inches, and about those of its axes in units of labels' places.
_SIZE, _INNER = (5.4, 4.0), (440, 300)
#: The least that an axis spans, by its decimals: 5 points, or 0.05. Shorter ones would make noise look decisive.
_LEAST = {1: 5.0, 3: 0.05}
_MARGIN = 0.12  #: of the static figure, as a share of what its axes span
_OTHERS = "others"  #: legend entry for methods or losses without a colour or shape of their own


@dataclass(frozen=True)
class Point:
    """A cell in the plot, with the values of its seeds."""

    method: str
    loss: str
    seeds: Sequence[int]
    x: Sequence[float]  #: by seed
    y: Sequence[float]
    label: str = ""  #: written next to it
    short: str = ""  #: the same where there is little width


@dataclass(frozen=True)
class Plane:
    """The content of the plot."""

    title: str
    caption: str
    axes: tuple[str, str]
    digits: int  #: decimals
    points: Sequence[Point]

    @property
    def colors(self) -> dict[str, str]:
        """A colour for each method; if there are many, the best have their own and the others share gray."""
        return _assign([p.method for p in self.points], [p.method for p in self._ordered], COLORS[:-1], GRAY)

    @property
    def shapes(self) -> dict[str, str]:
        """A marker for each loss, in the same way."""
        *shapes, other = SHAPES
        return _assign([p.loss for p in self.points], [p.loss for p in self._ordered], shapes, other)

    @property
    def bar(self) -> Point | None:
        """The classifier without training, the baseline of the others; None without one."""
        return next((p for p in self.points if p.method == AS_IS and p.loss == BASE), None)

    @property
    def spans(self) -> tuple[Span, Span]:
        """What the axes span: the values, or more around them if they differ by little."""
        least = _LEAST[self.digits]
        return _span([x for p in self.points for x in p.x], least), _span([y for p in self.points for y in p.y], least)

    def places(self, labels: Sequence[str], size: tuple[float, float]) -> list[Place]:
        """Where the label of each point stands in a plot of so many pixels."""
        seeds = [(x, y) for p in self.points if len(p.x) > 1 for x, y in zip(p.x, p.y, strict=True)]
        return places(labels, [(mean(p.x), mean(p.y)) for p in self.points], seeds, self.spans, size)

    @property
    def _ordered(self) -> list[Point]:
        return sorted(self.points, key=lambda p: -mean(p.x))

    def figure(self) -> Figure:
        """The plot as a static figure, for print and for pages without scripts."""
        return Figure(self.title, partial(draw, plane=self), _SIZE, self.caption)


def _span(values: Sequence[float], least: float) -> Span:
    low, high = min(values), max(values)
    more = max(0.0, least - (high - low)) / 2
    return low - more, high + more


def key(name: str, assigned: dict[str, str]) -> str:
    """The legend entry of a method or a loss."""
    return name if name in assigned else _OTHERS


def plane_of(grid: Grid, selection: Selection | None) -> Plane | None:
    """The plot of a grid; None if it has a single cell or no values to draw."""
    plane = _scored(grid) if grid.labelled else _unscored(selection) if selection else None
    return plane if plane and len(plane.points) > 1 else None


def _scored(grid: Grid) -> Plane:
    found = []
    for method, loss in ((m, k) for m in grid.methods for k in grid.losses):
        runs = grid.of(method, loss)
        x, y = ([percent(run.scores[m]) for run in runs.values()] for m in ("macro_recall", "accuracy"))
        if runs and not any(map(isnan, (*x, *y))):
            found.append(Point(method, loss, list(runs), x, y))
    caption = "Target test split, last epoch. Large: mean over seeds. Small: each seed."
    caption += f" Dashed: {AS_IS}, without training." * bool(grid.as_is)
    caption += f" Means over other seeds than the rest: {', '.join(grid.unranked)}." * bool(grid.unranked)
    axes = ("mean recall (%)", "accuracy (%)")
    best = equally_good(grid.ranked)
    found = [replace(p, label="highest mean recall" if (p.method, p.loss) in best else "") for p in found]
    return Plane("Accuracy against mean recall", caption, axes, 1, _labelled(found))


def _unscored(selection: Selection) -> Plane:
    found, best = [], selection.chosen
    for c in selection.candidates:
        x, y = ([scores[name] for scores in c.by_run] for name in ("class_ami", "ensv"))
        label = "chosen" if c is best else ""
        found.append(Point(c.method, c.loss, [run.cell[2] for run in c.runs], x, y, label))
    caption = (
        "Neither is accuracy: the target has no labels. ClassAMI: how well predictions match the clusters of features. "
        "EnsV: agreement with the mean of all cells. Large: mean over seeds. Small: each seed."
    )
    return Plane("Two criteria without labels", caption, ("class_ami", "ensv"), 3, _labelled(found))


def _labelled(points: list[Point]) -> list[Point]:
    """The points with whole labels: at the baselines, and at those that have one, such as "chosen"."""
    named = []
    for p in points:
        base = p.method in (AS_IS, "source_only") and p.loss == BASE
        name = p.method if base else cell_name(p.method, p.loss)
        label = f"{name} ({p.label})" if p.label else name if base else ""
        named.append(replace(p, label=label, short=p.label or label))
    return named


def _assign(names: Sequence[str], best: Sequence[str], looks: Sequence[str], other: str) -> dict[str, str]:
    """A look for each name; if there are too few looks, the best names get them and the rest share ``other``."""
    unique = list(dict.fromkeys(names))
    if len(unique) <= len(looks) + 1:
        return dict(zip(unique, (*looks, other), strict=False))
    return {**dict(zip(dict.fromkeys(best), looks, strict=False)), _OTHERS: other}


def draw(ax: Axes, plane: Plane) -> None:
    """Draws the plot: seeds small, means large, and dashed lines through the baseline."""
    import matplotlib

    ink, colors, shapes = matplotlib.rcParams["text.color"], plane.colors, plane.shapes
    where = plane.places([p.label for p in plane.points], _INNER)
    points = 72 * _SIZE[0] / _INNER[0] * 0.85  # of a unit
    for p, place in zip(plane.points, where, strict=True):
        look: dict[str, Any] = {"color": colors[key(p.method, colors)], "marker": shapes[key(p.loss, shapes)]}
        if len(p.x) > 1:
            ax.scatter(p.x, p.y, s=14, alpha=0.5, lw=0, **look)
        ax.scatter([mean(p.x)], [mean(p.y)], s=60, edgecolors=ink, linewidths=0.8, zorder=3, **look)
        if p.label:
            text: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "va": "center", "zorder": 4}
            text |= {"xytext": (place.dx * points, place.dy * points), "ha": place.align}
            ax.annotate(p.label, (mean(p.x), mean(p.y)), **text)
    if bar := plane.bar:
        for line, value in ((ax.axvline, bar.x), (ax.axhline, bar.y)):
            line(mean(value), color=ink, ls="--", lw=0.7, alpha=0.6)
    for name, color in colors.items():
        ax.plot([], [], "o", color=color, mec=ink, mew=0.8, label=name)
    for name, shape in shapes.items():
        ax.plot([], [], shape, color="none", mec=ink, label=name)
    x, y = ((low - _MARGIN * (high - low), high + _MARGIN * (high - low)) for low, high in plane.spans)
    ax.set(xlim=x, ylim=y)
    ax.grid(alpha=0.2)
    ax.set(xlabel=plane.axes[0], ylabel=plane.axes[1])


def said(values: Sequence[float], digits: int) -> str:
    """A mean with its spread as in tables, or, with another number of digits, the mean alone."""
    if digits == 1:
        return spread(values)
    return fixed(mean(values), digits)
