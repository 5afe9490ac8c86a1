"""Slots for the cells of a grid: in this process, or in worker processes."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.shared import share
from ..util.interrupts import Interrupts, deferred
from ..util.registry import loaded_plugins
from ..util.stops import SIGNALS, blocked
from .outcome import try_cell
from .progress import Progress, read_progress
from .ready import worker_process
from .settings import Settings
from .worker import Setup

if TYPE_CHECKING:
    from .pairs import Pairs

#: The outcome of a cell, and the output printed meanwhile.
Result = tuple[Any, str]

#: The work of workers, from the common setup, a cell (or another task), its title and its progress file.
Work = Callable[[Setup, Any, str, Path], Path]

#: Seconds that workers have to stop before they are killed; they lose only the unfinished epoch either way.
STOP_S = 20.0

#: Seconds between two looks whether they have.
_LOOK_S = 0.1


@dataclass
class Slot:
    """A slot for one cell at a time.

    Attributes:
        make: makes an executor of one worker, also after the last one has died.
        task: maps a cell, its title and its progress file to the result, or the file that holds it.
        progress: the progress file.
        device: the device for its cells; None: that of their settings.
        number: the number of its current cell; None if it is free.
        began: when the cell started.
    """

    make: Callable[[], Executor]
    task: Callable[[Any, str, Path], Result | Path]
    progress: Path
    device: str | None = None
    number: int | None = None
    began: float = 0.0
    future: Future[Result | Path] = field(default_factory=Future)
    _executor: Executor | None = None

    def begin(self, number: int, cell: Any, title: str) -> None:
        """Starts a cell, given by its settings, or another task."""
        self.number, self.began = number, time.perf_counter()
        self._executor = self._executor or self.make()
        try:
            self.future = self._executor.submit(self.task, cell, title, self.progress)
        except BrokenExecutor as error:  # the worker died before it got a task
            self.future = Future()
            self.future.set_exception(error)

    def end(self) -> tuple[Result | None, BaseException | None]:
        """Frees the slot after its cell is done; returns the result, or the executor's exception."""
        error = self.future.exception()
        self.number = None
        if isinstance(error, BrokenExecutor):
            self.close()
        if error:
            return None, error
        result = self.future.result()
        return (pickle.loads(result.read_bytes()) if isinstance(result, Path) else result), None

    def watched(self) -> Progress | None:
        """The progress of its cell, if known."""
        return read_progress(self.progress)

    def close(self) -> None:
        """Ends its worker."""
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = None
        self.progress.unlink(missing_ok=True)


class Slots(list[Slot]):
    """All slots."""

    def look(self) -> None:
        """Updates the slots, for subclasses whose slots come and go."""


class Here(Executor):
    """An executor that runs calls in this process at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Worker(Executor):
    """A process that ignores signals sent to the whole process group; its parent tells it when to stop."""

    def __init__(self) -> None:
        self._pool = worker_process()
        self._last: Future[Any] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with blocked(*SIGNALS):
            self._last = self._pool.submit(fn, *args, **kwargs)
        return self._last

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the process, or kills it if it is still working."""
        self._pool.shutdown(wait, kill_workers=self._last is not None and not self._last.done())


@contextmanager
def here(pairs: Pairs, out: Path, log: Sequence[str], until: float = inf) -> Iterator[Slots]:
    """One slot: this process, with all its threads.

    Args:
        pairs: the data of all cells.
        out, log, until: see :func:`.run_cell`.
    """

    def task(settings: Settings, title: str, progress: Path) -> Result:
        return try_cell(settings, *pairs.of(settings), out, title=title, log=log, until=until), ""

    with tempfile.TemporaryDirectory(prefix="pa_difc-") as folder:
        yield Slots([Slot(Here, task, Path(folder) / "0.json")])


@contextmanager
def workers(
    work: Work, value: Any, out: Path, log: Sequence[str], jobs: int, devices: Sequence[str] = ()
) -> Iterator[Slots]:
    """Slots in worker processes of one thread, which map the data; they are stopped at the block's end.

    Each worker has its own executor, so that a killed worker doesn't break the others.

    Args:
        work: the work, such as :func:`.worker.train`.
        value: the data of all work, such as :class:`.Pairs`.
        out, log: see :func:`.run_cell`.
        jobs: the number of workers.
        devices: the devices to use in turn; none: those of the settings.

    Raises:
        OSError: there is too little disk space to share arrays from memory; a face store needs none.
    """
    with tempfile.TemporaryDirectory(prefix="pa_difc-") as temporary:
        folder = Path(temporary)
        setup = setup_in(folder, value, out, log)
        slots = Slots(
            Slot(_Worker, partial(work, setup), folder / f"{i}.json", devices[i % len(devices)] if devices else None)
            for i in range(jobs)
        )
        with stopped_at_the_end(setup, slots):
            yield slots


def setup_in(folder: Path, value: Any, out: Path, log: Sequence[str]) -> Setup:
    """Makes the workers' setup, and its files in their folder."""
    go = folder / "go"
    go.touch()
    shared = share(value, folder / "value")
    return Setup(shared, out.resolve(), log, go, os.getpid(), tuple(sys.argv), tuple(loaded_plugins()))


@contextmanager
def stopped_at_the_end(setup: Setup, slots: Slots) -> Iterator[None]:
    """Tells workers to stop at the block's end, and ends them."""
    try:
        yield
    finally:
        with deferred() as again:
            setup.go.unlink(missing_ok=True)
            _close(slots, again)


def _close(slots: Sequence[Slot], again: Interrupts) -> None:
    """Ends workers that were told to stop, after at most :data:`STOP_S` seconds or at another Ctrl-C."""
    busy, end = [slot.future for slot in slots if slot.number is not None], time.monotonic() + STOP_S
    if busy:
        print("stopping; resumed runs begin at the start of their current epoch", flush=True)
    while wait(busy, _LOOK_S).not_done and not again.came and time.monotonic() < end:
        pass
    with blocked(*SIGNALS):
        for slot in slots:
            slot.close()
