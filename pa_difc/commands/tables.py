"""The tables of ``compare``: written for all runs below its folder, printed for the pairs of one command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..report.again import whole_command
from ..report.asked import keep_asked
from ..report.choice_tables import candidates_table, numbers, selection_notes
from ..report.grid import Grid, make_grids
from ..report.over_targets import NOTE, tables_over_targets
from ..report.page import markdown_table
from ..report.printed import aligned, notes
from ..report.run import Run
from ..report.selection import Selection, select
from ..report.sweep import split_sweeps
from ..report.table import Row, csv_rows, csv_text, rows_of, to_markdown, to_terminal
from ..util.errors import UserError
from ..util.files import write_text
from ..util.markdown import write_markdown
from ..util.process import quoted

#: Written next to the runs: the scores on targets with labels or, without any, what a choice can go by.
TABLES = ("table.csv", "table.md")
#: What a choice can go by, if some targets have labels and others do not.
CHOICE_TABLES = ("choice.csv", "choice.md")

Record = dict[str, Any]


@dataclass(frozen=True)
class _Choice:
    """What a choice among a grid's cells can go by, if the target has no labels: for programs, as Markdown, printed."""

    numbers: list[list[object]]
    markdown: str
    text: str


class Tables:
    """The tables of all runs below a folder, and those of the grids that this command's records belong to.

    Args:
        out: the folder above ``runs``, which may hold runs of earlier commands.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._choices: dict[tuple[Any, ...], _Choice] = {}
        self._titles: dict[str, list[str]] = {}

    def entitle(self, title: str, made: Sequence[Record]) -> None:
        """Gives the tables of some records their grid's title in a --grid file."""
        if title:
            self._titles.setdefault(title, []).extend(record["key"] for record in made)

    def keep(self, made: Sequence[Record]) -> None:
        """Writes the tables of what is done so far, as far as possible; :meth:`finish` says what is wrong with it.

        Args:
            made: this command's records so far.
        """
        with suppress(UserError, OSError):  # must not cost the training of the other pairs
            self._keep_asked(made)
            self._write_all(_plain(sound_runs(self.out)[0]))

    def finish(self, made: Sequence[Record]) -> None:
        """Writes the tables, and prints those of the grids that some records belong to.

        Args:
            made: this command's records.

        Raises:
            UserError: a run's outputs are missing or damaged, or a file can't be written.
        """
        self._keep_asked(made)
        runs, damaged = sound_runs(self.out)
        for error in damaged:
            print(f"left out of the tables: {error}", flush=True)
        grids, written = self._write_all(_plain(runs))
        keys = {record["key"] for record in made}
        mine = [grid for grid in grids if keys & {run.record["key"] for run in grid.runs}]
        for text in self._printed(mine):
            print(f"\n{text}")
        print(f"written: {', '.join(str(self.out / name) for name in written)}")
        print(f"report: pa-difc report {quoted(str(self.out))}")

    def _keep_asked(self, made: Sequence[Record]) -> None:
        keep_asked(self.out, [record["key"] for record in made], self._titles)

    def _write_all(self, runs: Sequence[Run]) -> tuple[list[Grid], list[str]]:
        """Writes the tables of some runs; returns the runs' grids, and the files' names."""
        grids = make_grids(runs)
        scored, others = [g for g in grids if g.labelled], [g for g in grids if not g.labelled]
        if scored:
            _write(self.out, TABLES, [_scored_csv(grid) for grid in scored], _scored_markdown(scored))
        choices = [self._choice(grid) for grid in others]  # after the other tables: missing outputs fail here
        if others:
            markdown = "\n".join(choice.markdown for choice in choices)
            _write(self.out, CHOICE_TABLES if scored else TABLES, [choice.numbers for choice in choices], markdown)
        return grids, [*TABLES, *(CHOICE_TABLES if scored and others else ())]

    def _choice(self, grid: Grid) -> _Choice:
        """The choice among a grid's cells; made once for the same runs, since it reads all their predictions.

        Raises:
            UserError: a run's outputs are missing or damaged.
        """
        runs = ((run.path, run.record["finished"], run.names) for run in grid.runs)
        key = (grid.title, *runs)
        if key not in self._choices:
            if (selection := select(grid)) is None:
                about = "outputs.npz of a run is missing; delete its record.json and rerun to write both"
                raise UserError(f"{self.out}: {about}")
            texts = _choice_markdown(grid, selection), _choice_text(selection)
            self._choices[key] = _Choice(numbers(selection), *texts)
        return self._choices[key]

    def _printed(self, grids: Sequence[Grid]) -> Iterator[str]:
        several = len(grids) > 1
        for grid in grids:
            text = to_terminal(_rows(grid)) if grid.labelled else self._choice(grid).text
            text = "\n".join([text, *notes(grid.caveats)])
            yield f"{grid.title}\n{text}" if several or grid.named else text
        for title, rows in tables_over_targets(grids).items():
            yield "\n".join([title, *aligned(rows, keys=2), *notes([NOTE])])


def sound_runs(out: Path) -> tuple[list[Run], list[UserError]]:
    """All runs below a folder in the order in which they finished, and the errors of damaged records."""
    from ..training.record import read_record

    runs, damaged = [], []
    for path in sorted((out / "runs").glob("*/record.json")):
        try:
            runs.append(Run(path.parent, read_record(path)))
        except UserError as error:  # a damaged record, maybe of another command, must not cost this one's tables
            damaged.append(error)
    runs.sort(key=lambda run: str(run.record["finished"]))
    return runs, damaged


def _plain(runs: Sequence[Run]) -> list[Run]:
    """The runs except those of label shifts."""
    return split_sweeps(runs)[1]


def _write(out: Path, names: Sequence[str], tables: Sequence[Sequence[Sequence[Any]]], markdown: str) -> None:
    """Writes the Markdown, and the tables of several grids to one CSV; a header repeats only if classes differ."""
    rows: list[Sequence[Any]] = []
    for table in tables:
        rows += table[1:] if rows and list(rows[0]) == list(table[0]) else table
    write_text(out / names[0], csv_text(rows))
    write_markdown(out / names[1], markdown)


def _rows(grid: Grid) -> list[Row]:
    return rows_of((run.cell[:2], run.record) for run in grid.runs)


def _scored_csv(grid: Grid) -> list[list[Any]]:
    rows = _rows(grid)
    head, *numbers = csv_rows(rows)
    own = [grid.source, grid.target, "; ".join(grid.differs)]
    titles = [grid.titles[row.method, row.loss] for row in rows]
    body = ([*row, *own, title] for row, title in zip(numbers, titles, strict=True))
    return [[*head, "source", "target", "settings", "grid"], *body]


def _scored_markdown(grids: Sequence[Grid]) -> str:
    text = "\n".join(to_markdown(_rows(grid), grid.title) + _caveats(grid) for grid in grids)
    several = tables_over_targets(grids).items()
    return "\n".join([text, *(f"# {title}\n\n{markdown_table(rows)}\n\n{NOTE}.\n" for title, rows in several)])


def _caveats(grid: Grid) -> str:
    """A grid's caveats, as paragraphs below a Markdown table."""
    return "".join(f"\n{line}.\n" for line in grid.caveats)


def _choice_markdown(grid: Grid, selection: Selection) -> str:
    below = " ".join(f"{note}." for note in selection_notes(selection))
    return f"# {grid.title}\n\n{markdown_table(candidates_table(selection))}\n\n{below}\n{_caveats(grid)}"


def _choice_text(selection: Selection) -> str:
    """The terminal's table for a target without labels: what a choice can go by, and the chosen cell."""
    sure = "chosen" if selection.chosen.eligible else "the least bad; do not rely on it"
    chosen = f"\n{sure}: {selection.chosen.name}; {_use(selection.chosen.runs[0])}"
    return "\n".join(
        [*aligned(candidates_table(selection, narrow=True), keys=2), *notes(selection_notes(selection)), chosen]
    )


def _use(run: Run) -> str:
    """How to make a model of a run: heads on frozen features are none."""
    if not run.record["data"]["target"].get("features_of"):
        return f"to use it: pa-difc export --model {quoted(str(run.path))} --out my_model"
    command = whole_command(run)
    return f"to use it, train its whole network: {command or 'the same command without --features frozen'}"
