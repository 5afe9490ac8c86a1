"""Places for the cells of a grid: in this process, or in workers of their own."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.domains import Domain
from ..data.shared import share
from ..util.registry import loaded_plugins
from .outcome import Outcome, try_cell
from .progress import Progress, read_progress
from .settings import Settings
from .worker import ENVIRONMENT, Setup, start_worker, work

#: What became of a cell, and what was printed meanwhile.
Result = tuple[Outcome, str]


@dataclass
class Slot:
    """A place for one cell at a time.

    Attributes:
        make: makes an executor of one worker; again, when that has died.
        task: what it does with a cell, its title and the file of its progress.
        progress: the file that says how far its cell is.
        device: that it trains on; None: the settings say.
        number: of the cell in it.
        began: when it was given it.
    """

    make: Callable[[], Executor]
    task: Callable[[Settings, str, Path], Result]
    progress: Path
    device: str | None = None
    number: int | None = None
    began: float = 0.0
    future: Future[Result] = field(default_factory=Future)
    _executor: Executor | None = None

    def begin(self, number: int, settings: Settings, title: str) -> None:
        """Gives it a cell."""
        settings = settings if self.device is None else settings.but(device=self.device)
        self.number, self.began = number, time.perf_counter()
        self._executor = self._executor or self.make()
        try:
            with _unheard(signal.SIGINT):
                self.future = self._executor.submit(self.task, settings, title, self.progress)
        except BrokenExecutor as error:  # the worker died before it got anything
            self.future = Future()
            self.future.set_exception(error)

    def end(self) -> tuple[Result | None, BaseException | None]:
        """Takes the cell out whose future is done; its result, or what the executor raised."""
        error = self.future.exception()
        self.number = None
        if isinstance(error, BrokenExecutor):
            self.close()
        return (None, error) if error else (self.future.result(), None)

    def watched(self) -> Progress | None:
        """How far its cell is, where that is known."""
        return read_progress(self.progress)

    def close(self) -> None:
        """Ends its worker."""
        if self._executor is not None:
            self._executor.shutdown()
        self._executor = None
        self.progress.unlink(missing_ok=True)


class Here(Executor):
    """An executor that is this process: what is submitted is done at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def here(source: Domain, target: Domain, out: Path, log: str | None) -> Iterator[list[Slot]]:
    """One slot: this process, with all its threads."""

    def task(settings: Settings, title: str, progress: Path) -> Result:
        return try_cell(settings, source, target, out, title=title, log=log), ""

    with tempfile.TemporaryDirectory(prefix="pa_difc-") as folder:
        yield [Slot(Here, task, Path(folder) / "0.json")]


@contextmanager
def workers(
    source: Domain, target: Domain, out: Path, log: str | None, jobs: int, devices: Sequence[str] = ()
) -> Iterator[list[Slot]]:
    """Slots in worker processes of one thread, which map the data; at the block's end they stop, done or not.

    Each worker has an executor of its own, so that one that is killed takes nobody along.

    Args:
        source, target, out, log: see :func:`.run_cell`.
        jobs: the number of workers.
        devices: that they train on, in turn; none: the settings say.

    Raises:
        OSError: there is no room for arrays that lie in memory; a face store needs none.
    """
    from loky import ProcessPoolExecutor

    for domain in (source, target):
        domain.summary()  # hashes what is hashed once, for all
    with tempfile.TemporaryDirectory(prefix="pa_difc-") as temporary:
        folder = Path(temporary)
        pair, stop = share((source, target), folder / "pair"), folder / "stop"
        setup = Setup(pair, out.resolve(), log, stop, os.getpid(), tuple(sys.argv), tuple(loaded_plugins()))

        def make() -> Executor:
            made: Executor = ProcessPoolExecutor(1, initializer=start_worker, initargs=(setup,), env=ENVIRONMENT)
            return made

        slots = [
            Slot(make, work, folder / f"{i}.json", devices[i % len(devices)] if devices else None) for i in range(jobs)
        ]
        try:
            yield slots
        finally:
            stop.touch()
            for slot in slots:
                slot.close()


@contextmanager
def _unheard(signum: int) -> Iterator[None]:
    """A signal waits for the block's end; processes that are started within it never hear it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signum})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
