"""``pa-difc shift``: compares methods × losses on a target under ever stronger label shift.

The page and the printed tables are of all runs below ``--out`` that belong to the same sweep, as those of ``report``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.sampling import sampler_names
from ..util.errors import UserError
from ..util.names import unknown
from ..util.numbers import with_minus
from ..util.terminal import filled
from .flags import add_features_flag, add_grid_flags, add_jobs_flags, add_training_flags, read_jobs
from .given_cells import settings_of_grid

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..report.shift import Line
    from ..training.settings import Settings

EXAMPLES = """\
  pa-difc shift --features frozen --methods source_only dann --losses ce difc \\
      --out runs/shift
  pa-difc shift --source muxspace --target fer2013 --data-root data \\
      --features frozen --draws 5 --out runs/shift"""

METHODS, LOSSES = ("source_only", "dann", "mcd"), ("ce", "drw", "di", "difc")
NONE = "none"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser, prior_correction="rlls", target_sampler=None)
    add_grid_flags(parser, METHODS, LOSSES)
    add_features_flag(parser)
    add_jobs_flags(parser)
    add = parser.add_argument
    about = "α of the Dirichlet distributions: the smaller, the stronger the shift; none: no shift"
    add(
        "--alphas",
        nargs="+",
        default=[NONE, "10", "3", "1", "0.3"],
        metavar="A",
        help=f"{about} (default: none 10 3 1 0.3)",
    )
    add("--draws", type=int, default=3, metavar="N", help="draws per α; draw n has seed n (default: %(default)s)")
    about = "target samplers to compare (default: all)"
    add("--target-samplers", nargs="+", default=None, metavar="NAME", help=about)


def run(parsed: argparse.Namespace) -> int:
    if parsed.draws < 1:
        raise UserError(f"--draws {parsed.draws}: must be at least 1")
    team = read_jobs(parsed)
    team.get_ready()
    grids = [_cells(parsed, name) for name in _samplers(parsed.target_samplers)]
    tasks = list(product(range(parsed.draws), map(_alpha, parsed.alphas)))

    from ..data.domains import require_labels
    from ..data.label_shift import CANT_SHIFT
    from ..report.paths import page_folder
    from ..report.shift_page import PAGES
    from ..training.build import load_pair
    from ..training.frozen import extract
    from .grid import on_first, report_failures, run_grid, sized
    from .grid_lines import in_brief_before_adjusting
    from .outputs import COMMAND, add_command, require_own
    from .scores import announce

    data = grids[0][0].data
    folder = page_folder(data.source, data.target, "label shift")
    require_own(parsed.out, *(f"{folder}/{name}" for name in PAGES), COMMAND)
    grids = [on_first(grid, parsed.devices) for grid in grids]
    source, target = load_pair(grids[0][0])
    require_labels(target, CANT_SHIFT)
    announce(source, target)
    add_command(parsed.out)  # an --out that can't be written fails before training
    cells = [cell for one in zip(*grids, strict=True) for cell in _that_differ(one, source)]
    if parsed.features == "frozen":
        workers = sized(team, cells, source, target)
        source, target = extract(cells[0], source, target, parsed.out / "features", workers)
    cells = [_task(cell, alpha, draw) for draw, alpha in tasks for cell in cells]
    brief = in_brief_before_adjusting
    records, failures = run_grid(cells, source, target, parsed.out, team=team, shifted=True, brief=brief)
    if records:
        _report(parsed.out, [record["key"] for record in records])
    return report_failures(failures)


def _report(out: Path, made: Sequence[str]) -> None:
    """Writes and prints the sweeps that some runs belong to.

    Args:
        out: the folder above ``runs``, which may hold runs of earlier commands.
        made: the keys of this command's runs, in its order.

    Raises:
        UserError: a file can't be written.
    """
    from ..report.asked import keep_asked
    from ..report.shift import lines_from_records
    from ..report.shift_page import write_shift_report
    from ..report.sweep import split_sweeps
    from .tables import sound_runs

    keep_asked(out, made, {})
    runs, damaged = sound_runs(out)
    for error in damaged:
        print(f"left out of the tables: {error}", flush=True)
    for sweep in split_sweeps(runs, of_shift=made)[0]:
        records = [run.record for run in sweep.runs]
        if not {record["key"] for record in records}.isdisjoint(made):
            page = write_shift_report(records, out / sweep.folder, sweep.title, asked=sweep.asked)
            _show(lines_from_records(records, sweep.asked))
            print(f"written: {page}")


def _cells(parsed: argparse.Namespace, sampler: str) -> list[Settings]:
    """The grid's cells with one target sampler."""
    return settings_of_grid(parsed, methods=METHODS, losses=LOSSES, data__target_sampler=sampler)


def _that_differ(cells: Sequence[Settings], source: Domain) -> Sequence[Settings]:
    """Of a method and loss's cells, one for each target sampler, those whose training differs."""
    from ..training.build import learns_from_target

    try:
        return cells if learns_from_target(cells[0], source) else cells[:1]
    except UserError:  # which training reports for each cell
        return cells


def _task(cell: Settings, alpha: float | None, draw: int) -> Settings:
    """A cell on the target of one draw: α (None leaves the target unchanged), and the draw's number as the seed."""
    data = cell.data if alpha is None else replace(cell.data, target_shift=alpha, shift_draw=draw)
    return replace(cell, data=data, run=replace(cell.run, seed=draw))


def _show(lines: Sequence[Line]) -> None:
    """Prints a table of scores and one of differences for each metric, then the main result."""
    from ..report.printed import aligned
    from ..report.shift import METRICS, over_draws
    from ..report.shift_lead import FROM, lead
    from ..report.shift_tables import KEYS, MARK, gains_table, table

    over = f"mean ± standard deviation over {over_draws(lines)}"
    for metric, name in METRICS.items():
        if not any(line.values(alpha, metric) for line in lines for alpha in line.scores):
            continue  # too few classes have 20 faces
        print(f"\n{filled(f'{name} in %: {over}, last epoch; target labels are used to shift and to score only')}")
        print("\n".join(aligned(table(lines, metric), keys=len(KEYS))))
        if len(gains := gains_table(lines, metric)) > 1:
            marked = f"; {MARK} p < 0.05 by Holm" if any(MARK in cell for row in gains for cell in row) else ""
            print(f"\n{filled(f'{name}, points over {FROM}: {over}, paired by draw{marked}')}")
            print("\n".join(aligned(gains, keys=len(KEYS))))
    print(f"\n{filled(with_minus(lead(lines)))}")


def _samplers(names: Sequence[str] | None) -> Sequence[str]:
    """The named target samplers, or all; the default comes first.

    Raises:
        UserError: there is no such sampler.
    """
    valid = sampler_names("target")
    for name in names or ():
        if name not in valid:
            raise unknown("target sampler", name, valid)
    return [name for name in valid if name in (names or valid)]


def _alpha(text: str) -> float | None:
    """The α of a flag; None for "none".

    Raises:
        UserError: it is neither "none" nor a number above 0.
    """
    from ..training.groups import DataSettings

    if text == NONE:
        return None
    try:
        return DataSettings(target_shift=float(text)).target_shift
    except ValueError:
        raise UserError(f"--alphas {text}: must be {NONE} or a number above 0") from None
