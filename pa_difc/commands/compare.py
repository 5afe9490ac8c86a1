"""``pa-difc compare``: adaptation methods × classification losses × seeds, on one source → target pair or several.

Each cell is trained once: a cell with a record is not run again, an interrupted grid resumes where it stopped, and a
cell that fails is reported while the others finish. After each pair the tables of all runs below the folder are written
to table.csv and table.md, and at the end the command prints those of its own pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from .flags import (
    add_features_flag,
    add_grid_flags,
    add_jobs_flags,
    add_log_flag,
    add_training_flags,
    check_log,
    read_jobs,
    seed,
)

if TYPE_CHECKING:
    from ..training.expected import Course
    from ..training.settings import Settings
    from ..training.team import Team
    from .experiment import PairGrid

EXAMPLES = """\
  pa-difc compare
  pa-difc compare --methods dann mcd --losses ce drw margin di difc \\
      --seeds 0 1 2
  pa-difc compare --source muxspace --target fer2013 --data-root data \\
      --epochs 3 --out runs/mux2fer
  pa-difc compare --jobs 4 --seeds 0 1 2   # four cells at a time
  pa-difc compare --source raf_db --targets jaffe sfew fer2013 expw \\
      --data-root data --out runs/four
  pa-difc compare --grid recipes/paper.toml --data-root data --list
  pa-difc compare --features frozen --epochs 20 --seeds 0 1 2 3 4 \\
      --out runs/frozen   # a hundred times cheaper"""

METHODS, LOSSES = ("source_only", "dann", "safn", "mcd"), ("ce", "di", "difc")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser)
    add_grid_flags(parser, METHODS, LOSSES)
    add_log_flag(parser)
    add_features_flag(parser)
    add_jobs_flags(parser)
    add = parser.add_argument
    add(
        "--seeds",
        nargs="+",
        type=seed,
        default=None,
        metavar="N",
        help="seeds of weights, batches and dropout (default: 0)",
    )
    add("--sources", nargs="+", metavar="NAME", help="several labelled datasets, each paired with every target")
    add(
        "--targets",
        nargs="+",
        metavar="NAME",
        help="several unlabelled datasets; summaries have a column for each and one for their mean",
    )
    about = "a TOML file of grids: a whole experiment, such as recipes/paper.toml; flags override it"
    add("--grid", type=Path, metavar="FILE", help=about)
    add("--list", action="store_true", help="list which runs are done and which are left; train nothing")


def run(parsed: argparse.Namespace) -> int:
    from .experiment import keep_grid_file, kinds_left, listing, planned

    team = read_jobs(parsed)
    check_log(parsed)
    if not parsed.list:
        team.get_ready()
    grids = planned(parsed, METHODS, LOSSES)  # this checks all settings before anything is read or trained
    if parsed.list:
        print("\n".join(listing(grids, parsed.out)))
        return 0

    from ..training.expected import Course
    from ..training.outcome import Failure
    from .grid import Failures, Record, report_failures
    from .outputs import COMMAND, add_command, require_own
    from .tables import CHOICE_TABLES, TABLES, Tables

    require_own(parsed.out, *TABLES, *CHOICE_TABLES, COMMAND)
    if parsed.grid:
        keep_grid_file(parsed.grid, parsed.out)
    add_command(parsed.out)  # an --out that can't be written fails before training
    tables = Tables(parsed.out)
    records: list[Record] = []
    failures: Failures = []
    left = kinds_left(grids, parsed.out) if len(grids) > 1 else [[]]
    course = Course()
    for number, grid in enumerate(grids, 1):
        if len(grids) > 1:
            print(f"grid {number}/{len(grids)}  {grid.title}".rstrip(), flush=True)
        try:
            course = Course(grid.frozen, list(chain(*left[number:])), course.seen)
            done, problems = _train(grid, parsed, team, course)
        except UserError as error:  # in its data or weights: the other grids can still be trained
            if len(grids) == 1:
                raise
            done, problems = [], [("", Failure(str(error), mendable=True))]
            print(f"{grid.pair}  failed", flush=True)
        where = [grid.title, grid.pair] if len(grids) > 1 else []
        failures += [(" · ".join(filter(None, [*where, name])), failure) for name, failure in problems]
        records += done
        tables.entitle(grid.title, done)
        if done and number < len(grids):
            tables.keep(records)
    if records:
        tables.finish(records)
    return report_failures(failures)


def _train(grid: PairGrid, parsed: argparse.Namespace, team: Team, course: Course) -> tuple[list[Any], list[Any]]:
    """Trains a grid's cells on its pair; returns the records, and the failures of the other cells.

    Args:
        grid: the cells.
        parsed: compare's flags.
        team: the workers.
        course: see :func:`.run_grid`.

    Raises:
        UserError: the data or the weights can't be used.
    """
    from ..training.build import load_pair
    from ..training.frozen import freeze, other_seeds
    from ..util.terminal import wrapped
    from .grid import on_first, run_grid, sized
    from .scores import announce, announce_phases

    cells = on_first(grid.cells, parsed.devices)
    source, target = load_pair(cells[0])
    announce(source, target)
    announce_phases(cells)
    if grid.frozen:
        workers = sized(team, cells, source, target)
        for line in _other_features(cells, other_seeds(cells[0], source, target, parsed.out / "features"), parsed.out):
            print(wrapped(line, indent=2), flush=True)
        source, target = freeze(cells[0], source, target, parsed.out / "features", workers)
    return run_grid(cells, source, target, parsed.out, parsed.log, team=team, course=course)


def _other_features(cells: Sequence[Settings], others: Sequence[int], out: Path) -> Iterator[str]:
    """A line on runs whose features are another network's, so that they are not pooled with these, and on how to add.

    The network is that of a command's first seed.
    """
    if others:
        seeds = " ".join(map(str, dict.fromkeys([others[0], *(cell.run.seed for cell in cells)])))
        yield (
            f"features of a network of seed {cells[0].run.seed}; {out} has runs on the network of seed {others[0]}: "
            f"give --seeds {seeds} to add to them"
        )
