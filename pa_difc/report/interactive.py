"""The interactive plot of all cells: Vega-Lite, drawn by the page itself without network access."""

from __future__ import annotations

import base64
import gzip
import html
import json
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

from ..util.names import shown_loss
from .plane import SHAPES, Plane, Point, key, said

#: The colour of text and lines: the surrounding page's.
_INK = "currentColor"
_WIDTH, _HEIGHT = "container", 380
_LARGE, _SMALL = 130, 26
_NARROW = 480  #: in plots of fewer pixels labels are short, or they would cover the axis
_PHONE, _DESKTOP = 290, 900  #: typical widths of narrow and of wide plots
_PLACED = ("align", "dx", "dy")
_SNIPPET = "window.vegaEmbed = vegaEmbed;"

#: The script that draws a page's plots; see :func:`.page.html_page`.
SCRIPT = (Path(__file__).parent / "cells.js").read_text(encoding="utf-8")


def html_cells(plane: Plane, still: str) -> str:
    """The plot with its legend buttons, and ``still``, the same as SVG, for print and pages without scripts."""
    title, data = html.escape(plane.title), json.dumps(chart(plane).to_dict(), sort_keys=True).replace("<", "\\u003c")
    keys = _keys("Method", "only_method", plane.colors, "o") + _keys("Loss", "only_loss", plane.shapes, None)
    return (
        f"<figure class='cells'><figcaption><b>{title}</b> <small>{html.escape(plane.caption)}</small></figcaption>"
        f"<div class='live'>{keys}<div class='plot'></div></div>"
        f"<div class='still' role='img' aria-label='{title}'>{still}</div>"
        f"<script type='application/json'>{data}</script></figure>"
    )


def for_page(body: str) -> str:
    """A page's body with Vega-Lite and Vega appended, compressed, for its plots."""
    return f"{body}<script type='application/octet-stream' id='vega'>{_bundle()}</script>"


@cache
def _bundle() -> str:
    """Vega, Vega-Lite and vega-embed as base64 of gzip; bundled once per process."""
    import vl_convert

    packed = gzip.compress(vl_convert.javascript_bundle(_SNIPPET).encode(), mtime=0)
    return base64.b64encode(packed).decode()


def chart(plane: Plane) -> Any:
    """The Altair chart: seeds small, means large, some labelled, and dashed lines through the untrained classifier."""
    import altair as alt

    alt.data_transformers.disable_max_rows()  # a large grid has more rows than Altair allows by default
    method, loss = (alt.param(name=name, value="") for name in ("only_method", "only_loss"))
    shown = " && ".join(f"(only_{part} == '' || datum.{part}_key == only_{part})" for part in ("method", "loss"))
    axis = alt.Axis(tickCount=7, labelFlush=False, labelOverlap=True)
    x, y = (
        channel(f"{place}:Q", title=title, scale=alt.Scale(domain=span, padding=18), axis=axis)
        for channel, place, title, span in zip((alt.X, alt.Y), "xy", plane.axes, plane.spans, strict=True)
    )
    look = {
        "color": alt.Color("color:N", scale=None),
        "shape": alt.Shape("shape:N", scale=None),
        "tooltip": [alt.Tooltip(f"{field}:N", title=title) for field, title in _said(plane)],
    }
    seeds = [row for p in plane.points if len(p.x) > 1 for row in _seeds(plane, p)]
    means = _means(plane)

    def points(rows: list[dict[str, Any]], size: int, opacity: float, **mark: Any) -> Any:
        visible = alt.condition(shown, alt.value(opacity), alt.value(0.06))
        drawn = alt.Chart(alt.InlineData(values=rows)).mark_point(filled=True, size=size, **mark)
        return drawn.encode(x=x, y=y, opacity=visible, **look)

    label = alt.Chart(alt.InlineData(values=[row for row in means if row["label"]]))
    align, dx, dy = (alt.expr(f"width < {_NARROW} ? datum.narrow.{part} : datum.wide.{part}") for part in _PLACED)
    label = label.mark_text(baseline="middle", align=align, dx=dx, dy=dy)
    text = alt.value(alt.expr(f"width < {_NARROW} ? datum.short : datum.label"))
    label = label.encode(x=x, y=y, text=text, color=alt.value(_INK))
    layers = [*_lines(plane, x, y), points(seeds, _SMALL, 0.5)] if seeds else _lines(plane, x, y)
    layers += [points(means, _LARGE, 0.95, stroke=_INK, strokeWidth=0.9), label]
    drawn = alt.layer(*layers).add_params(method, loss).properties(width=_WIDTH, height=_HEIGHT)
    drawn = drawn.configure(background="transparent", font="system-ui, sans-serif").configure_view(stroke=None)
    inked = dict.fromkeys(("labelColor", "titleColor", "tickColor", "domainColor", "gridColor"), _INK)
    return drawn.configure_axis(**inked, gridOpacity=0.12, labelFontSize=12, titleFontSize=13, titleFontWeight="normal")


def _lines(plane: Plane, x: Any, y: Any) -> list[Any]:
    """Dashed horizontal and vertical lines through the baseline; none without one."""
    import altair as alt

    if plane.bar is None:
        return []
    data = alt.InlineData(values=[{"x": mean(plane.bar.x), "y": mean(plane.bar.y)}])
    rule = alt.Chart(data).mark_rule(strokeDash=[4, 4], color=_INK, opacity=0.5)
    return [rule.encode(x=x), rule.encode(y=y)]


def _said(plane: Plane) -> list[tuple[str, str]]:
    """The tooltip's fields and their titles."""
    return [
        ("method", "method"),
        ("loss", "loss"),
        ("x_text", plane.axes[0]),
        ("y_text", plane.axes[1]),
        ("seeds", "seeds"),
    ]


def _look(plane: Plane, p: Point) -> dict[str, Any]:
    method, loss = key(p.method, plane.colors), key(p.loss, plane.shapes)
    look = {"color": plane.colors[method], "shape": SHAPES[plane.shapes[loss]]}
    return look | {"method": p.method, "loss": shown_loss(p.method, p.loss), "method_key": method, "loss_key": loss}


def _means(plane: Plane) -> list[dict[str, Any]]:
    """The cells' means as rows of data, with their labels' places in a narrow and in a wide plot."""
    rows = [_mean(plane, p) for p in plane.points]
    for name, text, width in (("narrow", "short", _PHONE), ("wide", "label", _DESKTOP)):
        for row, place in zip(rows, plane.places([row[text] for row in rows], (width, _HEIGHT)), strict=True):
            row[name] = {"align": place.align, "dx": place.dx, "dy": -place.dy}  # Vega's y grows downwards
    return rows


def _mean(plane: Plane, p: Point) -> dict[str, Any]:
    row = {
        "x": mean(p.x),
        "y": mean(p.y),
        "seeds": " ".join(map(str, sorted(p.seeds))),
        "label": p.label,
        "short": p.short,
    }
    return _look(plane, p) | row | {"x_text": said(p.x, plane.digits), "y_text": said(p.y, plane.digits)}


def _seeds(plane: Plane, p: Point) -> list[dict[str, Any]]:
    found = []
    for seed, x, y in zip(p.seeds, p.x, p.y, strict=True):
        texts = {"x_text": said([x], plane.digits), "y_text": said([y], plane.digits)}
        found.append(_look(plane, p) | {"x": x, "y": y, "seeds": f"{seed} alone"} | texts)
    return found


def _keys(title: str, signal: str, looks: dict[str, str], shape: str | None) -> str:
    """A button for each method or loss, with its colour or shape; when pressed, it fades all other cells."""
    buttons = []
    for name, look in looks.items():
        path, fill = (SHAPES[shape], look) if shape else (SHAPES[look], "none")
        glyph = f"<svg viewBox='-1.2 -1.2 2.4 2.4' aria-hidden='true'><path d='{path}' fill='{fill}'"
        glyph += " stroke='currentColor' stroke-width='.2'/></svg>"
        value = html.escape(name)
        button = f"<button type='button' aria-pressed='false' data-signal='{signal}' data-value='{value}'>"
        buttons.append(f"{button}{glyph}{value}</button>")
    return f"<fieldset class='keys'><legend>{title}</legend>{''.join(buttons)}</fieldset>"
