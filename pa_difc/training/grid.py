"""Trains the cells of a grid on workers: longest first; cells of a lost worker are retried."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from ..util import clock
from ..util.lock import LOOK_S
from .expected import Expected
from .outcome import Failure, Outcome, failure_file
from .settings import Settings
from .slots import Slot, Slots

#: A cell fails once its worker was killed this many times.
TRIES = 3

#: Seconds between two checks of the workers' progress.
WATCH_S = 0.5


@dataclass(frozen=True)
class Step:
    """What happened to a cell: an outcome, or None if its worker was killed and it is retried."""

    number: int
    outcome: Outcome | None
    seconds: float
    said: str = ""
    left: tuple[int, ...] = ()  #: cells that have not started


def train_cells(
    cells: Sequence[Settings],
    titles: Sequence[str],
    slots: Slots,
    out: Path,
    expected: Expected,
    watch: Callable[[list[int]], None],
    kept: Collection[int] = (),
    until: float = inf,
) -> Iterator[Step]:
    """Trains cells on slots, and yields what becomes of each.

    A cell that another process is training is reported as such and retried until it has a record or is free.

    Args:
        cells, titles: resolved settings and title of each cell.
        slots: see :mod:`.slots`.
        out: the folder for the files of failures.
        expected: the expected duration of cells.
        watch: called regularly with the cells that have not started.
        kept: cells that are not trained, because they have a record.
        until: the :func:`.clock.now` at which no further cell begins, and cells stop training. Cells begin in their
            order then, so that the first ones are finished; the first one begins however late it is.
    """
    left = [number for number in range(len(cells)) if number not in kept]
    not_before, tries, begun = dict[int, float](), Counter[int](), set(kept)
    while (in_time := _in_time(left, begun, until)) or any(slot.number is not None for slot in slots):
        slots.look()
        for slot in slots:
            now = time.monotonic()
            if slot.number is None and (ready := [n for n in in_time if not_before.get(n, now) <= now]):
                number = expected.next(ready, begun) if slots[1:] and until == inf else ready[0]
                left.remove(number)
                begun.add(number)
                cell = cells[number] if slot.device is None else cells[number].but(device=slot.device)
                slot.begin(number, cell, titles[number])
                in_time = _in_time(left, begun, until)
        running = {slot.future: slot for slot in slots if slot.number is not None}
        if not running:  # other processes hold the rest, or there is no worker
            time.sleep(WATCH_S)
        done, _ = wait(running, timeout=WATCH_S, return_when=FIRST_COMPLETED)
        for future in done:
            slot = running[future]
            step = _end(slot, cells, out, tries)
            if step.outcome is None or step.outcome.held is not None:
                left.append(step.number)
                not_before[step.number] = time.monotonic() + (LOOK_S if step.outcome else 0)
            yield replace(step, left=tuple(left))
        watch(left)


def _in_time(left: list[int], begun: Collection[int], until: float) -> list[int]:
    """The cells that may still begin: none once it is ``until``, unless none has begun."""
    return left if clock.now() < until or not begun else []


def _end(slot: Slot, cells: Sequence[Settings], out: Path, tries: Counter[int]) -> Step:
    """Takes a finished cell out of its slot."""
    number, seconds = slot.number, time.perf_counter() - slot.began
    assert number is not None
    result, error = slot.end()
    if result is not None:
        outcome, said = result
        return Step(number, outcome, seconds, said)
    assert error is not None
    if not isinstance(error, BrokenExecutor):  # the result could not be sent between processes
        return Step(number, Outcome(failure=Failure.of(error, failure_file(out, cells[number]))), seconds)
    tries[number] += 1
    if tries[number] < TRIES:
        return Step(number, None, seconds)
    reason = f"its worker was killed {TRIES} times, perhaps for lack of memory: use fewer --jobs"
    failure = Failure.told(reason, f"{reason}\n{error}\n", failure_file(out, cells[number]))
    return Step(number, Outcome(failure=failure), seconds)
