"""Places for the cells of a grid: in this process, or in workers of their own."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.shared import share
from ..util.registry import loaded_plugins
from ..util.stops import SIGNALS
from .cores import worker_process
from .outcome import try_cell
from .progress import Progress, read_progress
from .settings import Settings
from .worker import Setup

if TYPE_CHECKING:
    from .pairs import Pairs

#: What became of a cell, and what was printed meanwhile.
Result = tuple[Any, str]

#: What workers do: with what all are told, a cell (or whatever else), its title and the file of its progress.
Work = Callable[[Setup, Any, str, Path], Path]

#: Seconds that workers have to stop in; then they are killed. What they lose is in no checkpoint yet either way.
STOP_S = 20.0


@dataclass
class Slot:
    """A place for one cell at a time.

    Attributes:
        make: makes an executor of one worker; again, when that has died.
        task: what it does with a cell, its title and the file of its progress; its result, or the file that holds it.
        progress: the file that says how far its cell is.
        device: for cells that it is given; None: their settings say.
        number: of the cell in it.
        began: when it was given it.
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
        """Gives it a cell, by settings, or whatever else its task works on."""
        self.number, self.began = number, time.perf_counter()
        self._executor = self._executor or self.make()
        try:
            self.future = self._executor.submit(self.task, cell, title, self.progress)
        except BrokenExecutor as error:  # the worker died before it got anything
            self.future = Future()
            self.future.set_exception(error)

    def end(self) -> tuple[Result | None, BaseException | None]:
        """Takes the cell out whose future is done; its result, or what the executor raised."""
        error = self.future.exception()
        self.number = None
        if isinstance(error, BrokenExecutor):
            self.close()
        if error:
            return None, error
        result = self.future.result()
        return (pickle.loads(result.read_bytes()) if isinstance(result, Path) else result), None

    def watched(self) -> Progress | None:
        """How far its cell is, where that is known."""
        return read_progress(self.progress)

    def close(self) -> None:
        """Ends its worker."""
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = None
        self.progress.unlink(missing_ok=True)


class Slots(list[Slot]):
    """All places there are."""

    def look(self) -> None:
        """Finds out whether there are others by now."""


class Here(Executor):
    """An executor that is this process: what is submitted is done at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Worker(Executor):
    """One process of loky's, deaf to what terminals and batch systems send to all: the parent says when to stop."""

    def __init__(self) -> None:
        self._pool = worker_process()
        self._last: Future[Any] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _unheard(*SIGNALS):
            self._last = self._pool.submit(fn, *args, **kwargs)
        return self._last

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the process; one that is at work still is killed."""
        self._pool.shutdown(wait, kill_workers=self._last is not None and not self._last.done())


@contextmanager
def here(pairs: Pairs, out: Path, log: str | None) -> Iterator[Slots]:
    """One slot: this process, with all its threads.

    Args:
        pairs: the data of all cells.
        out, log: see :func:`.run_cell`.
    """

    def task(settings: Settings, title: str, progress: Path) -> Result:
        return try_cell(settings, *pairs.of(settings), out, title=title, log=log), ""

    with tempfile.TemporaryDirectory(prefix="pa_difc-") as folder:
        yield Slots([Slot(Here, task, Path(folder) / "0.json")])


@contextmanager
def workers(
    work: Work, value: Any, out: Path, log: str | None, jobs: int, devices: Sequence[str] = ()
) -> Iterator[Slots]:
    """Slots in worker processes of one thread, which map the data; at the block's end they stop, done or not.

    Each worker has an executor of its own, so that one that is killed takes nobody along.

    Args:
        work: what they do, such as :func:`.worker.train`.
        value: what all work on, such as :class:`.Pairs`.
        out, log: see :func:`.run_cell`.
        jobs: the number of workers.
        devices: that they work on, in turn; none: the settings say.

    Raises:
        OSError: there is no room for arrays that lie in memory; a face store needs none.
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


def setup_in(folder: Path, value: Any, out: Path, log: str | None) -> Setup:
    """What workers are told; files in a folder of theirs are made."""
    go = folder / "go"
    go.touch()
    shared = share(value, folder / "value")
    return Setup(shared, out.resolve(), log, go, os.getpid(), tuple(sys.argv), tuple(loaded_plugins()))


@contextmanager
def stopped_at_the_end(setup: Setup, slots: Slots) -> Iterator[None]:
    """At the block's end workers are told to stop, and end."""
    try:
        yield
    finally:
        setup.go.unlink(missing_ok=True)
        _close(slots)


def _close(slots: Sequence[Slot]) -> None:
    """Ends workers that were told to stop; this, too, has an end."""
    busy = [slot.future for slot in slots if slot.number is not None]
    with suppress(KeyboardInterrupt):  # Ctrl-C once more waits no longer, nor does one to whom nobody listens
        if busy:
            print("stopping; unfinished epochs are repeated on resuming", flush=True)
        wait(busy, STOP_S)
    with _unheard(*SIGNALS):
        for slot in slots:
            slot.close()


@contextmanager
def _unheard(*signals: int) -> Iterator[None]:
    """Signals wait for the block's end; processes that are started within it never hear them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
