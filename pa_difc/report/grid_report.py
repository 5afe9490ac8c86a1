"""Writes the pages for a folder of runs: one per grid and label-shift sweep, and an overview if there are several."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..util.errors import UserError, in_words
from ..util.files import write_text
from ..util.markdown import write_markdown
from ..util.terminal import wrapped
from .brief import split_lead
from .grid import Grid, make_grids
from .grid_page import Summary, write_grid
from .latex import write_latex_over_targets
from .layout import notes_beside
from .limits import left_out
from .over_targets import NOTE, tables_over_targets
from .page import html_page, html_table, markdown_table
from .paths import table_file
from .run import PAGE, Found, find_runs, require_runs, with_whole_outputs
from .shift import lines_from_records
from .shift_lead import FROM, lead
from .shift_page import write_shift_report
from .shift_tables import MARK, gains_table, table
from .sweep import Sweep, split_sweeps
from .table import csv_text
from .written import Options, kept_options, replaced

#: What a page of odd records may fail with.
_ODD = (UserError, ArithmeticError, LookupError, TypeError, ValueError)


def write_grid_report(
    runs: Path,
    out: Path,
    data_root: Path | None = None,
    formats: Sequence[str] = ("svg",),
    latex: bool = False,
    columns: Sequence[str] = (),
) -> list[Path]:
    """Writes the report of all runs below a folder; nothing is trained or predicted.

    A single grid gives one page: ``report.html`` with ``report.md``, ``tables/*`` and ``figures/*``. If there are
    several grids (of other pairs, settings, code or data) or label-shift sweeps, each has such a page in its own
    folder, and ``report.html`` and ``report.md`` at the top show every main table. Damaged records, searches, and pages
    that can't be written are left out, with a line that is printed and stands in the overview. For a target without
    labels the page shows predictions, and the cell chosen without labels.

    A report replaces an earlier one: it writes what that wrote, and its other files are removed.

    Args:
        runs: the folder above the runs.
        out: the folder to write to.
        data_root: the folder of datasets, to show faces whose prediction DIFC changed (the paper's Table 6); None
            leaves them out.
        formats: of the figures' files, see :data:`.drawing.FORMATS`.
        latex: also write the tables as LaTeX.
        columns: those of each grid's main table in LaTeX; see :func:`.for_paper`.

    Returns:
        The page to open first, then the pages that it links to.

    Raises:
        UserError: there are no runs, or a file can't be written.
    """
    asked = Options(tuple(formats), latex, tuple(columns))
    options = kept_options(out, asked)
    if options != asked:
        print(f"as in the earlier report: {options.flags()}", flush=True)
    with replaced(out, options):
        return _write(runs, out, data_root, options)


def _write(runs: Path, out: Path, data_root: Path | None, options: Options) -> list[Path]:
    """Writes all pages; see :func:`write_grid_report`."""
    formats, latex, columns = options.formats, options.latex, options.columns
    found = find_runs(runs)
    sweeps, plain = split_sweeps(found.runs)
    plain, damaged = with_whole_outputs(plain)  # a sweep's page needs none
    damaged = [*found.damaged, *damaged]
    require_runs(runs, Found([*plain, *(run for sweep in sweeps for run in sweep.runs)], found.studies, damaged))
    aside = [f"left out: {error}" for error in damaged]
    aside += [f"left out: {study}, a search with a page of its own ({study / PAGE})" for study in found.studies]
    grids = make_grids(plain)
    if len(grids) == 1 and not sweeps:
        _tell(aside)
        return [
            write_grid(
                grids[0], out, data_root, formats, latex, columns=columns, aside=aside, damaged=len(damaged)
            ).page
        ]
    pages = [(sweep.title, partial(_write_sweep, sweep, out / sweep.folder, formats, latex)) for sweep in sweeps]
    gone: dict[str, Any] = {
        "aside": [f"left out: {error}" for error in damaged],
        "damaged": len(damaged),
    }  # of whichever grid
    made = partial(write_grid, data_root=data_root, formats=formats, latex=latex, columns=columns, **gone)
    pages += [(g.title, partial(made, g, out / g.folder)) for g in grids]
    summaries, failed = [], 0
    for title, write in pages:
        try:
            summaries.append(write())
        except _ODD as error:  # must not cost the other pages
            aside.append(f"left out: {title}: {in_words(error)}")
            failed += 1
    if not summaries:
        raise UserError(f"{runs}: no page can be written ({aside[-1]})")
    for title, rows in tables_over_targets(grids).items():
        write_text(out / "tables" / f"{table_file(title)}.csv", csv_text(rows))
    if latex:
        write_latex_over_targets(grids, out / "tables")
    _tell(aside)
    limits = left_out(len(damaged), failed)
    return [_write_overview(runs, summaries, grids, out, aside, limits), *(summary.page for summary in summaries)]


def _tell(lines: Sequence[str]) -> None:
    """Prints lines on what a report leaves out."""
    for line in lines:
        print(wrapped(line, indent=2), flush=True)


def _write_sweep(sweep: Sweep, folder: Path, formats: Sequence[str], latex: bool) -> Summary:
    records = [run.record for run in sweep.runs]
    page = write_shift_report(records, folder, sweep.title, formats, latex, sweep.asked)
    lines = lines_from_records(records, sweep.asked)
    rows = gains_table(lines, "macro_recall")
    note = "Mean recall in %, mean ± standard deviation over draws."
    if len(rows) == 1:
        return Summary(page, sweep.title, split_lead(lead(lines))[0], table(lines, "macro_recall"), [note])
    note = f"Mean recall, points over {FROM}, mean ± standard deviation over draws; {MARK} Holm's p < 0.05."
    return Summary(page, sweep.title, split_lead(lead(lines))[0], rows, [note])


def _write_overview(
    runs: Path, summaries: list[Summary], grids: Sequence[Grid], out: Path, aside: Sequence[str], limits: Sequence[str]
) -> Path:
    """Writes the overview: tables over all targets, then each page's lead sentence and main table; returns its path.

    ``aside`` are lines on what is left out, for the notes, and ``limits`` the same in short, for the top.
    """
    title = f"All runs in {runs.name or runs}"
    notes = [note for s in summaries for note in s.notes]
    shared = [note for note in dict.fromkeys(notes) if notes.count(note) > 1]  # shown once, at the end
    page = [f"<p class='limit'>{html.escape(limit)}</p>" for limit in limits]
    markdown = [f"# {title}", "\n".join(f"- {s.title}" for s in summaries), *limits]
    for name, rows in tables_over_targets(grids).items():
        page.append(f"<h2>{html.escape(name)}</h2>{html_table(rows, name)}<p class='facts'>{html.escape(NOTE)}.</p>")
        markdown += [f"## {name}", f"{NOTE}.", markdown_table(rows)]
    for s in summaries:
        place = s.page.relative_to(out).as_posix()
        page.append(f"<h2 id='{_anchor(s)}'>{html.escape(s.title)}</h2>")
        page += [f"<p class='facts'>{html.escape(s.settings)}</p>"] if s.settings else []
        page.append(f"<p class='lead'>{html.escape(s.lead)}</p>")
        own = [note for note in s.notes if note not in shared]
        page += [html_table(s.table, s.title)] if s.table else []
        page.append(notes_beside(own))
        page.append(f"<p><a href='{place}'>Full page: {html.escape(s.title)}</a></p>")
        table = [markdown_table(s.table)] if s.table else []
        markdown += [f"## {s.title}", *filter(None, [s.settings]), s.lead, *table, *own]
        markdown.append(f"[Full page]({place.removesuffix('.html')}.md)")
    below = [*shared, *(f"{line[0].upper()}{line[1:]}." for line in aside)]
    page.append(notes_beside(below))
    markdown += below
    write_text(out / "report.html", html_page(title, "\n".join(page)))  # before report.md: marks the folder as ours
    write_markdown(out / "report.md", "\n\n".join(markdown) + "\n")
    return out / "report.html"


def _anchor(summary: Summary) -> str:
    return summary.page.parent.name
