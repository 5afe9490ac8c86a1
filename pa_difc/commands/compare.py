"""``pa-difc compare``: adaptation methods × classification losses × seeds on one source → target pair.

Each cell is trained once: a cell with a record is not run again, an interrupted grid is resumed where it stopped, and a
cell that fails is reported while the others finish. Ends with a table here, and in table.csv and table.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from .flags import (
    add_features_flag,
    add_grid_flags,
    add_jobs_flags,
    add_log_flag,
    add_training_flags,
    read_jobs,
    settings_of_grid,
)

if TYPE_CHECKING:
    from ..report.grid import Grid

EXAMPLES = """\
  pa-difc compare
  pa-difc compare --methods dann mcd --losses ce drw margin di difc --seeds 0 1 2
  pa-difc compare --source muxspace --target fer2013 --data-root data --epochs 3 --out runs/mux2fer
  pa-difc compare --jobs 4 --seeds 0 1 2   # four cells at a time
  pa-difc compare --features frozen --epochs 20 --seeds 0 1 2 3 4 --out runs/frozen   # a hundred times cheaper"""

#: What is written beside the runs.
TABLES = ("table.csv", "table.md")

METHODS, LOSSES = ("source_only", "dann", "safn", "mcd"), ("ce", "di", "difc")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    add_grid_flags(parser, METHODS, LOSSES)
    add_log_flag(parser)
    add_features_flag(parser)
    add_jobs_flags(parser)
    parser.add_argument("--seeds", nargs="+", type=int, default=None, metavar="N", help="(default: 0)")


def run(parsed: argparse.Namespace) -> int:
    # All settings are made, and so checked, before anything is read or trained.
    jobs = read_jobs(parsed)
    cells = settings_of_grid(parsed, methods=METHODS, losses=LOSSES)

    from ..training.build import load_pair
    from ..training.frozen import freeze
    from ..util.files import refuse_foreign, write_text
    from ..util.process import command_line
    from .grid import on_first, report_failures, run_grid
    from .scores import announce, announce_phases

    for name in TABLES:
        ours = (parsed.out / "runs").is_dir()
        refuse_foreign(parsed.out / name, ours=ours, writer="this command", instead="another --out")
    write_text(parsed.out / "command.txt", command_line() + "\n")  # fails here if it can't
    cells = on_first(cells, parsed.devices)
    source, target = load_pair(cells[0])
    announce(source, target)
    announce_phases(cells)
    if parsed.features == "frozen":
        source, target = freeze(cells[0], source, target, parsed.out / "features")
    records, failures = run_grid(cells, source, target, parsed.out, parsed.log, **jobs)
    if records:
        _write_tables(records, f"{source.name} → {target.name}", parsed.out, target.labelled)
    return report_failures(failures)


def _write_tables(records: list[dict[str, Any]], title: str, out: Path, labelled: bool) -> None:
    """Prints the comparison's table, and writes it as CSV and Markdown."""
    from ..report.table import rows_from_records, to_csv, to_markdown, to_terminal
    from ..util.files import write_text

    if labelled:
        rows = rows_from_records(records)
        texts = to_csv(rows), to_markdown(rows, title), to_terminal(rows)
    else:
        texts = _of_choice(_grid(records, out), title, out)
    for name, text in zip(TABLES, texts, strict=False):
        write_text(out / name, text)
    print(f"\n{texts[-1]}\nwritten: {out / 'table.md'}, {out / 'table.csv'}")


def _grid(records: list[dict[str, Any]], out: Path) -> Grid:
    from ..report.grid import Grid
    from ..report.run import Run
    from ..training.record import run_path

    return Grid.of_runs([Run(run_path(out, record), record) for record in records])


def _of_choice(grid: Grid, title: str, out: Path) -> tuple[str, str, str]:
    """The table of a target without labels: what a choice can go by, and the chosen cell."""
    from ..report.page import markdown_table
    from ..report.selection import candidates_table, numbers, select, selection_notes
    from ..report.table import aligned, csv_text

    selection = select(grid)
    if selection is None:
        raise UserError(f"{out}: outputs.npz of a run is gone; remove its record to have both written again")
    rows, notes = candidates_table(selection), selection_notes(selection)
    export = f"pa-difc export --model {selection.chosen.runs[0].path} --out my_model"
    markdown = f"# {title}\n\n{markdown_table(rows)}\n\n{' '.join(f'{note}.' for note in notes)}\n"
    terminal = "\n".join([*aligned(rows), *notes, f"\nchosen: {selection.chosen.name}; to use it: {export}"])
    return csv_text(numbers(selection)), markdown, terminal
