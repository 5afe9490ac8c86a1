"""Figures: drawn once, for a page that may be light or dark, or for print."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.files import write_atomic
from ..util.names import as_utf8

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawn

#: Okabe and Ito's palette, told apart by everyone, and a gray that is legible on white and on black.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW, GRAY = "#56B4E9", "#E69F00", "#808080"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, GRAY)

#: Line styles and markers that tell more classes apart than there are colours: a pair for each seven.
_DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "X")

#: Formats of files, and what keeps their bytes the same for the same data.
_METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
FORMATS = tuple(_METADATA)
_DPI = 300  #: of a PNG
_PAGE_DPI = 144  #: of clouds of points in a page, which would be large as vectors
#: Of text and axes while a figure of a page is drawn: in the page they have the colour of its text.
_INK = "#7f7f81"
#: Digits behind the second of a length in points; those of factors, which are below one, stay.
_FINE = re.compile(r"(?<![\d.])([1-9]\d*\.\d\d)\d+")


@dataclass(frozen=True)
class Figure:
    """What a figure shows and how it is drawn."""

    title: str
    draw: Callable[[Axes], None]
    size: tuple[float, float] = (5.4, 3.2)  #: in inches; a legend of many rows is added to the height
    caption: str = ""  #: what the title does not say, such as the seeds

    def for_page(self) -> str:
        """An SVG on nothing with text in the colour of the page, light or dark; the same bytes for the same data."""
        return svg(self.draw, self.size)

    def write(self, path: Path, formats: Sequence[str]) -> None:
        """Writes files for print: black on white, text as text, the same bytes for the same data.

        Args:
            path: without the suffix, which is the format's name.
            formats: of :data:`FORMATS`.

        Raises:
            UserError: a file can't be written.
        """
        with _drawn(self.draw, self.size, "black") as figure:
            for name in formats:
                save = partial(figure.savefig, format=name, dpi=_DPI, facecolor="white", metadata=_METADATA[name])
                write_atomic(path.with_name(f"{path.name}.{name}"), save)


def line_style(k: int) -> dict[str, Any]:
    """Colour, dashes and marker of class k, for ``Axes.plot``; 35 classes can be told apart."""
    return {"color": COLORS[k % 7], "ls": _DASHES[k // 7 % 5], "marker": _MARKERS[k // 7 % 5]}


def error_style() -> dict[str, Any]:
    """Of error bars, for ``Axes.bar`` and ``Axes.errorbar``: as dark as the text."""
    import matplotlib

    return {"ecolor": matplotlib.rcParams["text.color"], "elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8}


def svg(draw: Callable[[Axes], None], size: tuple[float, float] = (5.4, 3.2)) -> str:
    """An SVG on nothing with text in the colour of the page, light or dark; the same bytes for the same data.

    Args:
        draw: is given the axes.
        size: in inches; a legend of many rows is added to the height.
    """
    with _drawn(draw, size, _INK) as figure:
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", dpi=_PAGE_DPI, transparent=True, metadata=_METADATA["svg"])
    text = re.sub(r"^.*?(?=<svg )|<!--.*?-->", "", buffer.getvalue(), flags=re.DOTALL)
    return _FINE.sub(r"\1", text).replace(_INK, "currentColor")


@contextmanager
def _drawn(draw: Callable[[Axes], None], size: tuple[float, float], text: str) -> Iterator[Drawn]:
    """A figure with text of a colour, and the settings in which it is to be saved."""
    import matplotlib
    from matplotlib.figure import Figure as Drawn
    from matplotlib.text import Text

    colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: dict[Any, Any] = dict.fromkeys(colored, text)
    style |= {"svg.hashsalt": "pa_difc", "font.size": 9, "legend.framealpha": 0}
    if text != _INK:  # letters stay letters in files; in a page they are drawn, whatever fonts there are
        style |= {"svg.fonttype": "none", "pdf.fonttype": 42}
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
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_facecolor("none")
        for label in figure.findobj(Text):
            label.set_text(as_utf8(label.get_text()))  # a domain's name may be a path of any bytes
        yield figure


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns fit into a width in inches: a letter of 8 pt takes about 0.06, line and gaps 0.55."""
    widest = 0.55 + 0.06 * max(map(len, labels))
    return max(1, min(len(labels), int(width / widest)))
