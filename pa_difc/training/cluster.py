"""Slots on the workers of a dask cluster; workers may join and leave."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..data.shared import files_of
from ..util.errors import UserError
from ..util.lock import Held, holding
from ..util.process import package_digest, say_once
from .on_cluster import Seen, in_child, look_around
from .ready import ENVIRONMENT
from .slots import Slot, Slots, Work, setup_in, stopped_at_the_end
from .worker import Setup

#: The folder below ``--out`` with a folder for each grid, which all workers must see.
FOLDER = ".workers"

#: Seconds within which the scheduler must answer.
CONNECT_S = 10.0

#: Seconds between two checks of which workers there are.
_LOOK_S = 2.0


@contextmanager
def cluster_slots(
    address: str, work: Work, value: Any, out: Path, log: Sequence[str], most: int, files: Collection[Path] = ()
) -> Iterator[Slots]:
    """Provides a slot for each thread of a cluster's workers, in processes of one thread that map the data.

    Args:
        address: the scheduler's address, or its file.
        work, value, out, log: see :func:`.slots.workers`; ``out`` must be on a disk that all share.
        most: largest number of slots.
        files: further files that workers must see.

    Raises:
        UserError: ``distributed`` is not installed, no scheduler answers, or a worker sees another disk or has another
            version of the code.
    """
    client = _connected(address)
    folder = _folder(out)
    try:
        with holding(folder, "gives out runs"):
            setup = replace(setup_in(folder, value, out, log), tidies=False)
            word = uuid.uuid4().hex
            setup.go.write_text(word)
            needed = [str(Path(os.path.abspath(file))) for file in {*files_of(setup.value), *files}]
            slots = _OnCluster(client, address, partial(_Thread, client, work, setup), folder, most)
            slots.check = partial(_check, client, str(setup.go), word, needed, out)
            slots.look()
            try:
                with stopped_at_the_end(setup, slots):
                    yield slots
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.close(timeout=CONNECT_S)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _connected(address: str) -> Any:
    """Connects to the scheduler.

    Raises:
        UserError: ``distributed`` is not installed, or no scheduler answers.
    """
    try:
        import distributed
    except ImportError:
        raise UserError("--cluster needs dask's scheduler: pip install 'pa-difc[cluster]'") from None
    where: dict[str, Any] = {"address": address}
    if "://" not in address:
        if not Path(address).is_file():
            about = "must be a scheduler's address, such as tcp://host:8786, or the file that it writes"
            raise UserError(f"--cluster {address}: no such file; {about}")
        where = {"scheduler_file": address}
    client: Any = distributed.Client
    try:
        return client(**where, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # dask raises OSError, ValueError, TimeoutError and errors of its own
        raise UserError(f"--cluster {address}: no scheduler answers there ({' '.join(str(error).split())})") from None


def _folder(out: Path) -> Path:
    """A new folder for a grid; removes those that killed commands left."""
    above = out.resolve() / FOLDER
    for old in above.glob("*"):
        with contextlib.suppress(Held, UserError), holding(old, ""):
            shutil.rmtree(old, ignore_errors=True)
    return above / uuid.uuid4().hex[:8]


class _OnCluster(Slots):
    """A slot for each thread of the workers that a scheduler has now.

    Args:
        client: the scheduler's client.
        address: the scheduler's address, for errors.
        thread: makes the executor of a worker's thread.
        folder: the folder of progress files.
        most: largest number of slots.
    """

    def __init__(self, client: Any, address: str, thread: Callable[[str, int], _Thread], folder: Path, most: int):
        super().__init__()
        self._client, self._address, self._thread, self._folder, self._most = client, address, thread, folder, most
        self._threads_of: dict[int, _Thread] = {}  # by the slot's id
        self._last: float | None = None
        self._fit: dict[str, bool] = {}  # whether each checked worker is fit
        self._made = 0
        self.check: Callable[[Collection[str]], dict[str, str]]

    def look(self) -> None:
        """Adds new workers, and drops lost ones.

        Raises:
            UserError: the scheduler is gone, or a worker that is there at the beginning can't do the work.
        """
        now, first = time.monotonic(), self._last is None
        if self._last is not None and now - self._last < _LOOK_S and not any(map(_was_lost, self)):
            return
        self._last = now
        threads = self._threads()
        self._without(threads)
        fresh = threads.keys() - self._fit.keys()
        unfit = self.check(fresh) if fresh else {}
        if unfit and first:
            raise UserError(min(unfit.values()))
        for line in unfit.values():
            say_once(f"{line}; it gets no runs")
        self._fit |= {address: address not in unfit for address in fresh}
        there = {(thread.number, thread.address) for thread in self._threads_of.values()}
        wanted = {(n, address) for address in threads if self._fit[address] for n in range(threads[address])}
        for number, address in sorted(wanted - there)[: self._most - len(self)]:  # first threads first
            self._add(address, number)
        if not self:
            say_once(f"no workers at {self._address} yet; waiting for some")

    def _threads(self) -> dict[str, int]:
        try:
            if self._client.status == "running":
                return dict(self._client.nthreads())
        except (OSError, TimeoutError, CancelledError):
            pass
        raise UserError(f"--cluster {self._address}: the scheduler is gone; checkpoints are kept")

    def _without(self, threads: Mapping[str, int]) -> None:
        """Drops the slots of lost workers, once their cells have been taken out."""
        for slot in list(self):
            thread = self._threads_of[id(slot)]
            if thread.address not in threads:
                thread.lose()
                if slot.number is None:
                    slot.close()
                    self.remove(slot)
                    del self._threads_of[id(slot)]

    def _add(self, address: str, number: int) -> None:
        thread = self._thread(address, number)
        slot = Slot(lambda: thread, _handed_on, self._folder / f"{self._made}.json")
        self._made += 1
        self._threads_of[id(slot)] = thread
        self.append(slot)


def _was_lost(slot: Slot) -> bool:
    """Whether a slot's worker has just been lost; the slot gets no cell before workers are checked again."""
    if slot.number is not None or not slot.future.done():
        return False
    return isinstance(slot.future.exception(), BrokenExecutor)


def _handed_on(cell: Any, title: str, progress: Path) -> Any:
    """Placeholder for the work in a slot; :class:`_Thread` has the actual work."""
    raise NotImplementedError


class _Thread(Executor):
    """A thread of a cluster's worker, through dask's own executor.

    Args:
        client: the scheduler's client.
        work, setup: see :mod:`.worker`.
        address: the worker's address.
        number: the thread's number on the worker.
    """

    def __init__(self, client: Any, work: Work, setup: Setup, address: str, number: int) -> None:
        # No retries: the scheduler would rerun a cell elsewhere without telling.
        self._pool = client.get_executor(workers=[address], allow_other_workers=False, pure=False, retries=0)
        self.address, self.number = address, number
        self._work, self._setup = work, setup
        self._asked: Future[bytes] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        go, result = str(self._setup.go), Future[Any]()
        call = pickle.dumps((self._work, self._setup, *args))
        self._asked = self._pool.submit(in_child, go, self.number, os.getcwd(), ENVIRONMENT, call)
        self._asked.add_done_callback(partial(_pass_on, result))
        return result

    def lose(self) -> None:
        """Cancels its call, as if its process had been killed."""
        if self._asked is not None:
            self._asked.cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancels a call that is still running; the process exits when the grid ends."""
        self.lose()


def _pass_on(result: Future[Any], asked: Future[bytes]) -> None:
    """Passes on the result of a call; a lost worker becomes a BrokenExecutor, as with other executors."""
    try:
        value, error = pickle.loads(asked.result())
    except CancelledError:
        value, error = None, BrokenExecutor("its worker was lost")
    except BaseException as raised:
        lost = type(raised).__name__ == "KilledWorker"
        value, error = None, BrokenExecutor(str(raised)) if lost else raised
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(value)


def _check(
    client: Any, go: str, word: str, files: Collection[str], out: Path, workers: Collection[str]
) -> dict[str, str]:
    """What is wrong with workers, one line by address."""
    found = client.run(look_around, go, word, files, workers=list(workers), on_error="return")
    said = {address: _complaint(seen, go, out) for address, seen in found.items()}
    return {address: f"worker {address}{line}" for address, line in said.items() if line}


def _complaint(seen: Any, go: str, out: Path) -> str | None:
    from ..util.version import VERSION

    if not isinstance(seen, Seen):
        return f" can't run pa_difc ({type(seen).__name__}: {seen}): install it there, too"
    if go in seen.missing:
        what = f"does not see {out.resolve()}, or can't write there"
        return f" on {seen.host} {what}: --out must be on a disk that all share"
    if (seen.version, seen.code) != (VERSION, package_digest()):
        ours, theirs = f"{VERSION} ({package_digest()})", f"{seen.version} ({seen.code})"
        return f" on {seen.host} has pa_difc {theirs}, but this is {ours}: install the same on both"
    if seen.missing:
        return f" on {seen.host} does not see {min(seen.missing)}: it must be on a disk that all share"
    return None
