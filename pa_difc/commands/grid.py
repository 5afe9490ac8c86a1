"""Trains every cell of a grid, and prints each one's scores or failure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from ..backbones.spec import HUB
from ..data.domains import Domain
from ..training.cores import threads_of, usual_jobs
from ..training.device import set_device
from ..training.expected import Course, Expected
from ..training.grid import Step, train_cells
from ..training.loggers import not_logged
from ..training.memory import workers_that_fit
from ..training.outcome import Failure
from ..training.pairs import Pairs
from ..training.run import kept_record
from ..training.settings import Settings
from ..training.slots import Slots, Work, here
from ..training.team import ALONE, Team
from ..training.worker import train
from ..util.errors import Stopped, UserError
from ..util.lock import LOCK, sweep
from ..util.names import cell_name
from ..util.process import is_news, typed_line
from ..util.stops import OutputGone
from ..util.terminal import wrapped
from .grid_display import GridDisplay
from .grid_lines import Brief, done_line, in_brief

Record = dict[str, Any]
Failures = list[tuple[str, Failure]]


def run_grid(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    out: Path,
    log: Sequence[str] = (),
    seconds: Sequence[float] = (),
    *,
    team: Team = ALONE,
    shifted: bool = False,
    course: Course | None = None,
    names: Sequence[str] | None = None,
    brief: Callable[[Record], Brief] = in_brief,
    until: float = inf,
) -> tuple[list[Record], Failures]:
    """Trains cells; returns their records, and the failures of those that have failed.

    Args:
        cells: resolved.
        source, target: the data of all cells.
        out: the folder above ``runs``.
        log: names of loggers.
        seconds: the expected time of each cell, to estimate the time left; if empty, it is learnt on the way.
        team: the workers that train the cells; without a number of jobs, :func:`.usual_jobs` decides.
        shifted: see :class:`.Pairs`.
        course: what the command trains before and after these cells, for the time left; None for nothing.
        names: of the cells on the screen; None for their methods, losses and what else differs.
        brief: a finished cell's scores in a few words.
        until: the :func:`.clock.now` at which cells stop training; see :func:`.train_cells`.

    Raises:
        Stopped: by Ctrl-C, or by a signal that counts as such; see :mod:`pa_difc.util.stops`.
        UserError: there is no such cluster, or its workers can't train the cells.
    """
    grid = _Grid(cells, Expected(cells, seconds, course), out, names, brief)
    pairs = Pairs(source, target, shifted=shifted)
    try:
        left = cells if shifted else grid.keep(source, target)
        if log and grid.records:
            print(not_logged(log, len(grid.records)), flush=True)
        if not left:
            return grid.result()
        number = None if team.cluster else jobs_for(left, source, target, team.jobs)
        team = _of_workers(team, number)
        work = partial(train, until=until)
        slots = _workers(team, work, pairs, left, out, log) if team.works else here(pairs, out, log, until)
        with threads_of(number), slots as there:
            grid.train(there, bars=team.works, until=until)
    except KeyboardInterrupt as stop:
        _sweep(out)
        how = str(stop) if isinstance(stop, Stopped) else "stopped"
        done = f"{len(grid.records)} of {len(cells)} runs are done and kept"
        if isinstance(stop, OutputGone):  # what is printed now is lost
            raise Stopped(f"{how}; {done}") from None
        print(f"resume with: {typed_line()}", flush=True)
        raise Stopped(f"{how}; {done}", hint="") from None
    return grid.result()


def _sweep(out: Path) -> None:
    """Removes the lock files of cells whose workers were killed because they did not stop in time."""
    for file in (out / "runs").glob(f"*/{LOCK}"):
        sweep(file.parent)


def sized(team: Team, cells: Sequence[Settings], source: Domain, target: Domain) -> Team:
    """The team with the number of workers set that will train the cells and extract their features.

    Without a number, this process does it alone.
    """
    return team if team.cluster else _of_workers(team, jobs_for(cells, source, target, team.jobs))


def jobs_for(cells: Sequence[Settings], source: Domain, target: Domain, asked: int | None) -> int | None:
    """How many cells are trained in parallel: as many as were asked for, or the usual number, if memory allows.

    None means one after the other, in this process with all its threads.
    """
    jobs = asked or usual_jobs(cells)
    return None if jobs is None else workers_that_fit(min(jobs, len(cells)), cells[0], source, target)


def _of_workers(team: Team, number: int | None) -> Team:
    """The team with so many workers; a single worker that nobody asked for is replaced by this process."""
    return replace(team, jobs=number if number != 1 or team.jobs else None)


def _workers(
    team: Team, work: Work, pairs: Pairs, cells: Sequence[Settings], out: Path, log: Sequence[str]
) -> AbstractContextManager[Slots]:
    """The slots of a team's workers, ready to train cells."""
    for domain in (pairs.source, pairs.target):
        domain.summary()  # computes the hashes once, before workers get their copies
    weights = {Path(cell.model.pretrained) for cell in cells if cell.model.pretrained not in (None, HUB)}
    return team.slots(work, pairs, out, log, len(cells), weights)


def on_first(cells: Sequence[Settings], devices: Sequence[str]) -> list[Settings]:
    """The cells on the first of some devices, for work that precedes the workers; unchanged if there is none.

    Raises:
        UserError: one of the devices can't be used.
    """
    for device in devices:
        set_device(device)
    return [cell.but(device=devices[0]) if devices else cell for cell in cells]


class _Grid:
    """The records and failures of the cells so far, and the lines that report them."""

    def __init__(
        self,
        cells: Sequence[Settings],
        expected: Expected,
        out: Path,
        names: Sequence[str] | None,
        brief: Callable[[Record], Brief],
    ) -> None:
        self.cells, self.expected, self.out, self.brief = cells, expected, out, brief
        self.names = names or [" · ".join(words) for words in _words(cells)]
        self.width = max(map(len, self.names), default=0)
        self.records: dict[int, Record] = {}
        self.failures: Failures = []

    def keep(self, source: Domain, target: Domain) -> list[Settings]:
        """Keeps the records of cells that were trained before, with a line for each; returns the other cells."""
        for number, cell in enumerate(self.cells):
            with suppress(UserError):  # reported when the cell is trained
                if (record := kept_record(cell, source, target, self.out)) is not None:
                    self.records[number] = record
                    self.expected.learn(number, record["seconds"]["training"])
                    print(done_line(self._head(number), self.brief(record), None, ""), flush=True)
        return [cell for number, cell in enumerate(self.cells) if number not in self.records]

    def result(self) -> tuple[list[Record], Failures]:
        """The records in the cells' order, and the failures."""
        return [self.records[number] for number in sorted(self.records)], self.failures

    def train(self, slots: Slots, *, bars: bool, until: float) -> None:
        """Trains all cells that have no record until a :func:`.clock.now`; ``bars`` shows a line for each worker."""
        display = GridDisplay(slots, self.expected, len(self.cells), shown=bars)
        try:
            kept = frozenset(self.records)
            steps = train_cells(self.cells, self.names, slots, self.out, self.expected, display.watch, kept, until)
            for step in steps:
                for line in self._lines(step, display):
                    display.print(line)
        finally:
            display.close()

    def _lines(self, step: Step, display: GridDisplay) -> Iterator[str]:
        """Keeps a step's outcome, and yields the lines that report it."""
        number, outcome, name = step.number, step.outcome, self.names[step.number]
        for line in step.said.splitlines():
            if is_news(line):  # each worker repeats it, and this process may have printed it before
                yield wrapped(line, indent=2)
        if outcome is None:
            yield f"{name}  its worker was killed; retrying"
        elif outcome.held is not None:
            if is_news(outcome.held):
                yield f"{name}  waiting: {outcome.held}"
        elif outcome.late is not None:
            yield f"{self._head(number)}  {outcome.late}"
        elif outcome.failure is not None:
            self.failures.append((name, self._failure(outcome.failure, name)))
            yield f"{self._finished}  {name}  failed"
        elif outcome.record is not None:
            self.records[number] = outcome.record
            self.expected.learn(number, max(step.seconds, outcome.record["seconds"]["training"]))
            left = display.left(step.left)
            yield done_line(self._head(number), self.brief(outcome.record), step.seconds, left)

    def _head(self, number: int) -> str:
        """The beginning of a finished cell's line."""
        return f"{self._finished}  {self.names[number]:<{self.width}}"

    @property
    def _finished(self) -> str:
        """How many cells have finished or failed: " 3/27"."""
        total = str(len(self.cells))
        return f"{len(self.records) + len(self.failures):>{len(total)}}/{total}"

    def _failure(self, failure: Failure, name: str) -> Failure:
        """The failure as reported: without a second copy of the cell's name, and with its file's path below --out."""
        file = failure.file and self.out / failure.file.parent.name / failure.file.name
        return replace(failure, reason=failure.reason.removeprefix(f"{name}: "), file=file)


def _words(cells: Sequence[Settings]) -> Iterator[list[str]]:
    """The words that name each cell: its method and loss, and other settings that differ between cells."""
    seeds = len({cell.run.seed for cell in cells}) > 1
    samplers = len({cell.data.target_sampler for cell in cells}) > 1
    shifts = len({cell.data.target_shift for cell in cells}) > 1
    for cell in cells:
        words, data = [cell_name(cell.method.name, cell.loss.name, " · ")], cell.data
        words += [data.target_sampler] if samplers else []
        words += ["no shift" if data.target_shift is None else f"α = {data.target_shift:g}"] if shifts else []
        yield [*words, f"seed {cell.run.seed}"] if seeds else words


def report_failures(failures: Failures) -> int:
    """Prints a line for each way in which cells failed, with the first of these cells and the file that has details.

    Returns:
        The exit code: 0 without failures, 2 if the user can mend all of them, else 1.
    """
    alike: dict[tuple[str, bool], Failures] = {}
    for name, failure in failures:
        alike.setdefault((failure.reason, failure.mendable), []).append((name, failure))
    for (name, failure), *others in alike.values():
        more = f" ({failure.file})" if failure.file and not failure.mendable else ""
        more += f" … and {len(others)} more run{'s' * (len(others) > 1)}" if others else ""
        line = f"failed: {name}: {' '.join(failure.reason.split())}{more}"
        print(wrapped(line, 2, sys.stderr), file=sys.stderr)
    mendable = all(failure.mendable for _, failure in failures)
    return 0 if not failures else 2 if mendable else 1
