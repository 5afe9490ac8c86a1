"""The page of a label-shift sweep."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..util.files import write_text
from ..util.markdown import write_markdown
from .again import again_html, again_markdown
from .brief import html_lead, split_lead
from .grid import Grid
from .latex import latex_table
from .layout import facts, notes_beside
from .page import html_page, html_table, markdown_table, slug
from .run import Run
from .shift import METRICS, Alpha, Line, lines_from_records, newest_runs, over_draws, severities
from .shift_figures import write_figures
from .shift_lead import FROM, lead, notes
from .shift_statistics import to_best
from .shift_tables import (
    MARK,
    Rows,
    classes_table,
    evidence_table,
    gains_table,
    named_rows,
    statistics_csv,
    table,
    to_csv,
)
from .variants import variant_names

#: The files of a sweep's page.
PAGES = ("label_shift.html", "label_shift.csv", "label_shift_statistics.csv", "label_shift.md")
CLASSES = "Classes in each draw"
_TESTS = ", tests of these differences"  #: ends the titles of long tables, which a page folds
_BOLD_NOTE = (
    "Bold: the best of a column, and what can't be told from it: Holm's p of a paired t-test over draws is at least "
    "0.05, or there are too few draws for a test."
)


@dataclass(frozen=True)
class _Section:
    """The tables of one metric."""

    metric: str
    name: str
    tables: Mapping[str, Rows]  #: by title: scores first, then differences, then their tests


def write_shift_report(
    records: Sequence[dict[str, Any]],
    out: Path,
    title: str | None = None,
    formats: Sequence[str] = ("svg",),
    latex: bool = False,
    asked: Sequence[str] = (),
) -> Path:
    """Writes label_shift.html, .md and .csv, tests and figures below ``out``; returns the page.

    Args:
        records: of one sweep, in the order in which they finished.
        out: the folder to write to.
        title: of the page; None names the pair of domains.
        formats: of the figures' files.
        latex: also write tables/*.tex.
        asked: see :func:`.lines_from_records`.

    Raises:
        UserError: a file can't be written.
    """
    lines, data = lines_from_records(records, asked), records[0]["data"]
    grid = _grid(records)
    title = title or f"{data['source']['name']} → {data['target']['name']} under label shift"
    said, (told, detail), classes = _facts(grid, records), split_lead(lead(lines)), classes_table(lines, grid.classes)
    below = [*notes(lines, grid.classes, records), *(f"{line}." for line in grid.caveats), *_left_out(records)]
    sections = _sections(lines)
    page, markdown = [], [f"# {title}", said, *filter(None, [told, detail]), *below]
    for section in sections:
        figures = "".join(write_figures(lines, section.metric, section.name, out, formats))
        page.append(f"{_section_html(section)}<div class='figures'>{figures}</div>")
    for heading, rows in _tables(sections, classes).items():
        markdown += [f"## {heading}", markdown_table(rows)]
    if latex:
        _write_latex(lines, sections, classes, title, out)
    page.append(f"<h2>{CLASSES}</h2>{html_table(classes, CLASSES)}{again_html(grid)}")
    write_text(out / "label_shift.csv", to_csv(lines))
    write_text(out / "label_shift_statistics.csv", statistics_csv(lines))
    write_markdown(out / "label_shift.md", "\n\n".join([*markdown, *again_markdown(grid)]) + "\n")
    write_text(out / "label_shift.html", html_page(title, _ordered(said, html_lead(told, detail), page, below)))
    return out / "label_shift.html"


def _grid(records: Sequence[dict[str, Any]]) -> Grid:
    """All of a sweep's newest runs, for what pages say about runs of any kind."""
    newest = list(newest_runs(records).values())
    runs = [Run(Path(), record, names) for record, names in zip(newest, variant_names(newest), strict=True)]
    return Grid(*runs[0].pair, runs)


def _sections(lines: Sequence[Line]) -> list[_Section]:
    """The metrics that have a value: "macro_recall_20" has none where too few classes have 20 faces."""
    found = []
    for metric, name in METRICS.items():
        if any(line.values(alpha, metric) for line in lines for alpha in line.scores):
            title = name.capitalize()
            tables = {
                title: table(lines, metric),
                f"{title}, differences from cross-entropy": gains_table(lines, metric),
                f"{title}{_TESTS}": evidence_table(lines, metric),
            }
            found.append(_Section(metric, name, {key: rows for key, rows in tables.items() if len(rows) > 1}))
    return found


def _tables(sections: Sequence[_Section], classes: Rows) -> dict[str, Rows]:
    return {title: rows for section in sections for title, rows in section.tables.items()} | {CLASSES: classes}


def _section_html(section: _Section) -> str:
    (first, scores), *others = section.tables.items()
    shown = [f"<h2>{html.escape(first)}</h2>{html_table(named_rows(scores), first)}"]
    for heading, rows in others:
        inner, title = html_table(named_rows(rows), heading), html.escape(heading)
        folded = f"<details class='fold' open><summary>{title}</summary>{inner}</details>"
        shown.append(folded if heading.endswith(_TESTS) else f"<h3>{title}</h3>{inner}")
    return "".join(shown)


def _ordered(said: str, told: str, sections: Sequence[str], below: Sequence[str]) -> str:
    """The page's body: the main result, the first metric's section, the notes, then the other sections."""
    first, *others = sections
    top = f"<p class='facts'>{html.escape(said)}</p>{told}"
    return "\n".join([top, first, notes_beside(below), *others])


def _facts(grid: Grid, records: Sequence[dict[str, Any]]) -> str:
    """A line on what was run, with which settings, versions and on which days."""
    settings = grid.runs[0].settings
    frozen = ["frozen features"] if records[0]["data"]["target"].get("features_of") else []
    epochs, rate = settings["run"]["epochs"], settings["optimiser"]
    trained = [f"{epochs} epoch{'s' * (epochs > 1)}", f"{rate['name']}, learning rate {rate['lr']:g}"]
    versions = dict.fromkeys(f"pa-difc {record['versions']['pa-difc']}" for record in records)
    days = sorted({str(record["finished"])[:10] for record in records})
    return " · ".join([facts(grid), *frozen, *trained, *versions, " to ".join(dict.fromkeys([days[0], days[-1]]))])


def _left_out(records: Sequence[dict[str, Any]]) -> list[str]:
    older = len(records) - len(newest_runs(records))
    return [f"{older} older run{'s' * (older > 1)} of the same cells left out."] if older else []


def _write_latex(lines: Sequence[Line], sections: Sequence[_Section], classes: Rows, title: str, out: Path) -> None:
    """Writes each table as tables/*.tex, with each column's best scores in bold."""
    metric_of = {next(iter(section.tables)): section.metric for section in sections}
    for heading, rows in _tables(sections, classes).items():
        bold, notes = set[tuple[int, int]](), [] if heading == CLASSES else [_latex_note(heading, metric_of, lines)]
        if heading in metric_of:
            for j, alpha in enumerate(severities(lines), 3):
                bold |= {(i, j) for i in _best(lines, alpha, metric_of[heading])}
        notes += [_BOLD_NOTE] if bold else []
        text = latex_table(rows, f"{heading}: {title}.", f"{out.name}-{slug(heading)}", bold, notes)
        write_text(out / "tables" / f"{slug(heading)}.tex", text)


def _latex_note(heading: str, metric_of: Mapping[str, str], lines: Sequence[Line]) -> str:
    """What a table's numbers are."""
    if heading in metric_of:
        return f"In %, mean ± standard deviation over {over_draws(lines)}."
    holm = "corrected by Holm for all comparisons by this metric"
    if heading.endswith(_TESTS):
        return f"In points over {FROM}; interval and p of a t-test paired by draw; p (Holm) is {holm}."
    return f"In points over {FROM}, mean ± standard deviation over {over_draws(lines)}; {MARK} p < 0.05, {holm}."


def _best(lines: Sequence[Line], alpha: Alpha, metric: str) -> set[int]:
    """The rows of the best line at one α and of those that can't be told from it; the first one is 1.

    None if there are too few draws to test any.
    """
    found = to_best(lines, alpha, metric)
    if found is None or all(d.p is None for d in found.others):
        return set()
    alike = [found.line, *(d.over for d in found.others if not d.told_apart)]
    return {i for i, line in enumerate(lines, 1) if any(line is x for x in alike)}
