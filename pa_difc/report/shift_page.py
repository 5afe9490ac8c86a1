"""The page of a label-shift sweep."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from ..util.files import write_text
from ..util.markdown import write_markdown
from . import shift
from .drawing import COLORS, Figure
from .layout import notes_beside
from .page import html_figure, html_page, html_table, markdown_table
from .shift import METRICS, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The files of a sweep's page.
PAGES = ("label_shift.html", "label_shift.csv", "label_shift.md")
_STYLES = ("-", "--", ":", "-.")


def write_shift_report(
    records: Sequence[dict[str, Any]], out: Path, title: str | None = None, formats: Sequence[str] = ("svg",)
) -> Path:
    """Writes label_shift.html, .md and .csv and the figures below ``out``; returns the page.

    Args:
        records: of one sweep, in the order in which they finished.
        out: the folder to write to.
        title: of the page; None names the pair of domains.
        formats: of the figures' files.

    Raises:
        UserError: a file can't be written.
    """
    lines, data = shift.lines_from_records(records), records[0]["data"]
    title = title or f"{data['source']['name']} → {data['target']['name']} under label shift"
    lead, notes = shift.lead(lines), _notes(records, lines)
    page = []
    markdown = [f"# {title}", lead, *notes]
    for metric, name in METRICS.items():
        if not any(line.values(alpha, metric) for line in lines for alpha in line.scores):
            continue  # for "macro_recall_20": no class has 20 faces
        tables = {
            name: shift.table(lines, metric),
            f"{name}, gained over cross-entropy": shift.gains_table(lines, metric),
        }
        page.append(f"<h2>{name.capitalize()}</h2>{html_table(tables[name], name)}")
        for heading, rows in tables.items():
            if len(rows) > 1:
                markdown += [f"## {heading.capitalize()}", markdown_table(rows)]
                page += [f"<h3>{heading.capitalize()}</h3>{html_table(rows, heading)}"] if heading != name else []
        page.append(f"<div class='figures'>{''.join(_figures(lines, metric, name, out, formats))}</div>")
    write_text(out / "label_shift.csv", shift.to_csv(lines))
    write_markdown(out / "label_shift.md", "\n\n".join(markdown) + "\n")
    write_text(out / "label_shift.html", html_page(title, _ordered(lead, page, notes)))
    return out / "label_shift.html"


def _ordered(lead: str, sections: Sequence[str], notes: Sequence[str]) -> str:
    """The page's body: the main result, the first metric's section, the notes, then the other sections."""
    first, *others = sections
    return "\n".join([f"<p class='lead'>{html.escape(lead)}</p>", first, notes_beside(notes), *others])


def _notes(records: Sequence[dict[str, Any]], lines: Sequence[Line]) -> list[str]:
    draws = max(len(scores) for line in lines for scores in line.scores.values())
    notes = [
        "The target's class proportions are drawn from Dirichlet(α · K · p) around its own p, and both of its splits "
        f"are resampled to them (RLSbench's protocol). Mean ± standard deviation over up to {draws} draws, each with a "
        "seed of its own, in %, last epoch. Target labels made the task; none was used in training, selection or "
        "estimating the prior.",
    ]
    if older := len(records) - len(shift.newest_runs(records)):
        notes.append(f"{older} older run{'s' * (older > 1)} of the same cells left out.")
    return notes


def _figures(lines: Sequence[Line], metric: str, name: str, out: Path, formats: Sequence[str]) -> list[str]:
    """A figure for each variant as HTML; also writes it to files."""
    shown = []
    for variant in dict.fromkeys(line.variant for line in lines):
        chosen = [line for line in lines if line.variant == variant]
        draw = partial(_draw, lines=chosen, metric=metric, all_lines=lines)
        figure = Figure(f"{name}, {variant}", draw, (5.4, 3.6))
        shown.append(html_figure(figure.title, figure.for_page()))
        figure.write(out / "figures" / f"{metric}-{variant.replace(' + ', '-')}", formats)
    return shown


def _draw(ax: Axes, lines: Sequence[Line], metric: str, all_lines: Sequence[Line]) -> None:
    """Draws a line per method and loss: colours for losses, dashes for methods, on one scale for all variants."""
    alphas = shift.severities(all_lines)
    losses, methods = (list(dict.fromkeys(getattr(x, part) for x in all_lines)) for part in ("loss", "method"))
    for line in lines:
        style = _STYLES[methods.index(line.method) % len(_STYLES)]
        color = COLORS[losses.index(line.loss) % len(COLORS)]
        known = [i for i, a in enumerate(alphas) if line.values(a, metric)]
        y = [mean(line.values(alphas[i], metric)) for i in known]
        ax.plot(known, y, style, marker="o", ms=3, color=color, label=f"{line.method} · {line.loss}")
    ax.set_xticks(range(len(alphas)), [shift.alpha_name(a) for a in alphas])
    means = [mean(x.values(a, metric)) for x in all_lines for a in alphas if x.values(a, metric)]
    ax.set(xlim=(-0.2, len(alphas) - 0.8), ylim=(min(means) - 2, max(means) + 2))
    ax.set(xlabel="severity of the shift →", ylabel=f"{METRICS[metric]} (%)")
