"""Draws figures, for pages that may be light or dark and for print."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..util.files import write_atomic, write_text
from ..util.names import as_utf8
from .run import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawn

#: Okabe and Ito's colour-blind-safe palette, and a gray that is legible on white and on black.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW, GRAY = "#56B4E9", "#E69F00", "#808080"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, GRAY)

#: Line styles and markers, a pair for each round of the seven colours, to tell more classes apart.
_DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "X")

#: File formats, with the metadata to drop so that the same data give the same bytes.
_METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
FORMATS = tuple(_METADATA)
_DPI = 300  #: of a PNG
_PAGE_DPI = 144  #: of scatter plots in a page, which are rasterised because their vectors would be large
#: Stands for the text's colour while a figure is drawn; replaced by ``currentColor`` for a page, and by black.
_INK, _BLACK = "#7f7f81", "#000000"
#: Decimals after the second, which lengths in points do not need; factors below one keep theirs.
_FINE = re.compile(r"(?<![\d.])([1-9]\d*\.\d\d)\d+")


#: What a title adds to a figure's height, in inches.
_TITLE = 0.25


@dataclass(frozen=True)
class Figure:
    """A figure: its title, and the function that draws it."""

    title: str
    draw: Callable[[Axes], None]
    size: tuple[float, float] = (5.4, 3.2)  #: in inches; a legend of several rows adds to the height
    caption: str = ""  #: adds to the title, such as the seeds

    def write(self, path: Path, formats: Sequence[str], done: Callable[[], Any] = lambda: None) -> str:
        """Writes files for print, black on white, and returns the figure for a page; see :func:`svg`.

        The same data give the same bytes. A PNG file has the title in it. SVG and PDF files have none: the page or
        paper that shows them gives it.

        Args:
            path: without the suffix, which is the format's name.
            formats: some of :data:`FORMATS`.
            done: called after the figure for the page, and after each file.

        Raises:
            UserError: a file can't be written.
        """
        with _drawn(self.draw, self.size, _INK) as figure:  # the file in SVG is the same drawing in another colour
            page = _for_page(figure)
            done()
            if "svg" in formats:
                write_text(path.with_name(f"{path.name}.svg"), _for_print(figure))
                done()
        for name in (name for name in formats if name != "svg"):
            with _drawn(self.draw, self.size, "black", self.title if name == "png" else "") as figure:
                save = partial(figure.savefig, format=name, dpi=_DPI, facecolor="white", metadata=_METADATA[name])
                write_atomic(path.with_name(f"{path.name}.{name}"), save)
                done()
        return page


def line_style(k: int) -> dict[str, Any]:
    """Colour, dashes and marker of class k, for ``Axes.plot``; 35 classes can be told apart."""
    return {"color": COLORS[k % 7], "ls": _DASHES[k // 7 % 5], "marker": _MARKERS[k // 7 % 5]}


def error_style() -> dict[str, Any]:
    """The style of error bars for ``Axes.bar`` and ``Axes.errorbar``: in the text's colour."""
    import matplotlib

    return {"ecolor": matplotlib.rcParams["text.color"], "elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8}


def within(means: Array, spread: Array, low: float = 0.0, high: float = 100.0) -> Array:
    """Error bars ``(2, …)``, below and above each mean, cut where they would leave the scale.

    Args:
        means: in the unit of the scale.
        spread: how far each bar reaches to both sides.
        low, high: the ends of the scale.
    """
    ends: Array = np.clip([means - spread, means + spread], low, high)
    return np.asarray(np.abs(ends - means))


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = (5.4, 3.2)) -> str:
    """A figure as SVG, transparent, with text in the page's own colour; the same data give the same bytes.

    Args:
        draw: draws on the axes that it is given.
        size: in inches; a legend of several rows adds to the height.
    """
    with _drawn(draw, size, _INK) as figure:
        return _for_page(figure)


def _for_page(figure: Drawn) -> str:
    """A figure drawn in :data:`_INK` as SVG for a page, with text as outlines, so that it needs no font."""
    text = _svg(figure, _PAGE_DPI, "none")
    text = re.sub(r"^.*?(?=<svg )|<!--.*?-->", "", text, flags=re.DOTALL)
    return _FINE.sub(r"\1", text).replace(_INK, "currentColor")


def _for_print(figure: Drawn) -> str:
    """A figure drawn in :data:`_INK` as SVG in black on white, with text as text."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        return _svg(figure, _DPI, "white").replace(_INK, _BLACK)


def _svg(figure: Drawn, dpi: int, background: str) -> str:
    """A figure as SVG, drawn once: ``savefig`` would draw it twice, to lay out what is laid out."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.set_dpi(dpi)
    figure.set_facecolor(background)
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(buffer, metadata=_METADATA["svg"])
    return buffer.getvalue()


@contextmanager
def _drawn(draw: Callable[[Axes], None], size: tuple[float, float], text: str, title: str = "") -> Iterator[Drawn]:
    """A drawn figure with text of a colour, and its title if any; save it in the block, under the same settings."""
    import matplotlib
    from matplotlib.figure import Figure as Drawn
    from matplotlib.text import Text

    colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[Any, Any] = dict.fromkeys(colored, text)
    style |= {"svg.hashsalt": "pa_difc", "font.size": 9, "legend.framealpha": 0}
    style["pdf.fonttype"] = 42  # text as text
    style["text.parse_math"] = False  # a class may be called "$"
    with matplotlib.rc_context(style):
        figure = Drawn(figsize=size, layout="constrained")
        ax = figure.subplots()
        draw(ax)
        handles, labels = ax.get_legend_handles_labels()
        if handles:  # above the axes, where it hides nothing
            columns = _legend_columns(labels, size[0])
            figure.set_size_inches(size[0], size[1] + 0.17 * (-(-len(labels) // columns) - 1))
            place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
            ax.legend(ncols=columns, fontsize=8, columnspacing=1.2, **place)
        if title:
            figure.set_size_inches(size[0], figure.get_size_inches()[1] + _TITLE)
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold", wrap=True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_facecolor("none")
        for label in figure.findobj(Text):
            label.set_text(as_utf8(label.get_text()))  # a domain's name may be a path that is not UTF-8
        if layout := figure.get_layout_engine():
            layout.execute(figure)
        figure.set_layout_engine("none")  # it is laid out: every file would do so again
        yield figure


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns fit into a width in inches: an 8 pt letter takes about 0.06, the line and gaps 0.55."""
    widest = 0.55 + 0.06 * max(map(len, labels))
    return max(1, min(len(labels), int(width / widest)))
