"""Training every cell of a grid, and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data.domains import Domain
from ..training.device import set_device
from ..training.expected import Expected
from ..training.grid import Step, train_cells
from ..training.memory import workers_that_fit
from ..training.outcome import Failure
from ..training.settings import Settings
from ..training.slots import Slot, here, workers
from ..util.errors import Stopped
from ..util.process import command_line, is_news
from .grid_display import GridDisplay

Record = dict[str, Any]
Failures = list[tuple[str, Failure]]


def run_grid(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    out: Path,
    log: str | None = None,
    seconds: Sequence[float] = (),
    *,
    jobs: int | None = None,
    devices: Sequence[str] = (),
) -> tuple[list[Record], Failures]:
    """The records of all cells, and what went wrong with the others.

    Args:
        cells: resolved.
        source, target: the data of all.
        out: below it lie the runs.
        log: a logger's name.
        seconds: what each cell is expected to take, to say how much is left; none: that is learnt.
        jobs: the number of workers, of one thread each; None: this process does it all, with all its threads.
        devices: that workers train on, in turn; none: the settings say.

    Raises:
        Stopped: Ctrl-C, or what is like it; see :mod:`pa_difc.util.stops`.
    """
    grid = _Grid(cells, Expected(cells, seconds))
    if jobs is None:
        slots = here(source, target, out, log)
    else:
        number = workers_that_fit(min(jobs, len(cells)), cells[0], source, target)
        slots = workers(source, target, out, log, number, devices)
    try:
        with slots as there:
            grid.train(there, out, bars=jobs is not None)
    except KeyboardInterrupt as stop:
        how = str(stop) if isinstance(stop, Stopped) else "stopped"
        done = f"{len(grid.records)} of {len(cells)} cells are done and kept"
        print(f"to go on: {command_line()}", flush=True)
        raise Stopped(f"{how}; {done}") from None
    return [grid.records[number] for number in sorted(grid.records)], grid.failures


def on_first(cells: Sequence[Settings], devices: Sequence[str]) -> list[Settings]:
    """Cells on the first of some devices, for what is done before workers spread them; as they are if there is none.

    Raises:
        UserError: one of the devices can't be used.
    """
    for device in devices:
        set_device(device)
    return [cell.but(device=devices[0]) if devices else cell for cell in cells]


class _Grid:
    """What has become of the cells so far, and the lines that say so."""

    def __init__(self, cells: Sequence[Settings], expected: Expected) -> None:
        self.cells, self.expected = cells, expected
        several = len({cell.run.seed for cell in cells}) > 1
        self.names = [
            f"{cell.method.name} · {cell.loss.name}" + (f" · seed {cell.run.seed}" if several else "") for cell in cells
        ]
        self.titles = [f"{i}/{len(cells)}  {name}" for i, name in enumerate(self.names, 1)]
        self.records: dict[int, Record] = {}
        self.failures: Failures = []

    def train(self, slots: Sequence[Slot], out: Path, *, bars: bool) -> None:
        """Trains all cells, with bars if the slots have none of their own."""
        display = GridDisplay(slots, self.expected, len(self.cells), shown=bars)
        try:
            for step in train_cells(self.cells, self.titles, slots, out, self.expected, display.watch):
                for line in self._lines(step, display):
                    display.print(line)
        finally:
            display.close()

    def _lines(self, step: Step, display: GridDisplay) -> Iterator[str]:
        """What is said of a step, when what came of it is kept."""
        number, outcome, title = step.number, step.outcome, self.titles[step.number]
        for line in step.said.splitlines():
            if is_news(line):  # this process may have said it, and each worker does
                yield line
        if outcome is None:
            yield f"{title}  its worker was killed; it is tried again"
        elif outcome.held is not None:
            if is_news(outcome.held):
                yield f"{title}  waiting: {outcome.held}"
        elif outcome.failure is not None:
            self.failures.append((self.names[number], outcome.failure))
            yield f"{title}  failed"
        elif outcome.record is not None:
            self.records[number] = outcome.record
            self.expected.learn(number, max(step.seconds, outcome.record["seconds"]["training"]))
            scores = in_brief(outcome.record)
            yield f"{title:<32} {scores}  {step.seconds:4.0f} s{display.left(step.left)}"


def report_failures(failures: Failures) -> int:
    """Says which cells failed, a line each, and where more is said of it; returns the exit code."""
    for name, failure in failures:
        more = f" ({failure.file})" if failure.file and not failure.mendable else ""
        print(f"failed: {name}: {' '.join(failure.reason.split())}{more}", file=sys.stderr)
    mendable = all(failure.mendable for _, failure in failures)
    return 0 if not failures else 2 if mendable else 1


def in_brief(record: Record) -> str:
    """A run's scores on the target, or where it has no labels on held-out source, in a few words."""
    scores = record["scores"]
    if target := scores.get("target"):
        frequent = target["macro_recall_20"]
        recall = f"{target['macro_recall']:6.1%}" + ("" if frequent is None else f" (≥ 20 faces {frequent:.1%})")
        return f"accuracy {target['accuracy']:6.1%}  mean recall {recall}"
    classes = sum(count > 0 for count in scores["unlabelled_target"]["predicted"])
    total = len(record["labels"]["names"])
    recall = f"source recall {scores['source']['macro_recall']:6.1%}  " if "source" in scores else ""
    return f"{recall}predicts {classes} of {total} classes"
