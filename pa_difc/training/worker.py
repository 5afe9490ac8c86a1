"""The work of a grid's worker process: it maps the data once, and trains the cells it is given."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import torch

from ..data.shared import shared
from ..util.forks import parent_is_gone, remove_socket
from ..util.lock import remove_lock_files
from ..util.registry import load_plugin
from .outcome import Outcome, try_cell
from .progress import ProgressFile
from .ready import THREADS
from .settings import Settings

#: Seconds between two checks of whether a worker should stop.
_LOOK_S = 0.3


@dataclass(frozen=True)
class Setup:
    """The setup that all workers of a grid share.

    Attributes:
        value: the file of the shared data, see :func:`.share`.
        out: the folder that holds the runs.
        log: names of loggers.
        go: a file in this grid's own folder; workers stop once it is gone.
        parent: the process that started the worker; the worker ends when it does.
        command: the command line, for records.
        plugins: the user's plugin files.
        tidies: whether a worker that outlives its parent removes the grid's folder.
    """

    value: Path
    out: Path
    log: Sequence[str]
    go: Path
    parent: int
    command: Sequence[str]
    plugins: Sequence[Path]
    tidies: bool = True


class _State:
    value: Any = None
    busy = False
    lock = threading.Lock()  # a worker is told to stop only inside the block that catches it


def train(setup: Setup, settings: Settings, title: str, progress: Path, until: float = inf) -> Path:
    """Trains a cell, unless workers are to stop.

    Args:
        setup: the same for all cells; its value is a :class:`.Pairs`.
        settings: resolved.
        title: the cell's title.
        progress: the progress file.
        until: see :func:`.run_cell`.

    Returns:
        The file with the outcome, empty if the cell was stopped, and the output printed meanwhile.
    """
    bar: Any = partial(ProgressFile, progress)

    def cell() -> Outcome:
        source, target = value_of(setup).of(settings)
        how = {"title": title, "progress": bar, "log": setup.log, "until": until}
        return try_cell(settings, source, target, setup.out, **how)

    return told(setup, cell, Outcome(), progress)


def told(setup: Setup, work: Callable[[], Any], stopped: Any, progress: Path) -> Path:
    """Does some work, unless workers are to stop.

    Args:
        setup: the same for all work.
        work: the work.
        stopped: the result if the work was stopped.
        progress: the progress file.

    Returns:
        A file next to it with the result and the output printed meanwhile. Only its name goes through the pipe, in one
        write: if a worker were killed while sending a result, the parent would wait for the rest forever.
    """
    result, said = stopped, io.StringIO()
    try:
        _State.busy = True
        with redirect_stdout(said):
            result = work()
    except KeyboardInterrupt:
        if goes_on(setup.go):
            raise  # not told to stop: a real interrupt
    finally:
        with _State.lock:
            _State.busy = False
        progress.unlink(missing_ok=True)
    file = progress.with_suffix(".result")
    file.write_bytes(pickle.dumps((result, said.getvalue())))
    return file


def goes_on(go: Path) -> bool:
    """Whether a grid is still running. Opens the file, because shared disks are slow to report a removal."""
    try:
        go.open("rb").close()
    except OSError:
        return False
    return True


def value_of(setup: Setup) -> Any:
    """The shared data; the first call also prepares this process."""
    if _State.value is None:
        torch.set_num_threads(THREADS)
        sys.argv = list(setup.command)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # for _listen's interrupt; a terminal's is blocked
        threading.Thread(target=_listen, args=(setup,), daemon=True).start()
        with redirect_stdout(io.StringIO()):  # the parent has shown plugins' output already
            for plugin in setup.plugins:
                load_plugin(plugin)
        _State.value = shared(setup.value)
    return _State.value


def _listen(setup: Setup) -> None:
    """Stops this process's cell when told to, and the process itself once its parent is gone."""
    told = False
    while True:
        if parent_is_gone(setup.parent):
            remove_socket()
            remove_lock_files()
            if setup.tidies:
                shutil.rmtree(setup.go.parent, ignore_errors=True)  # mapped files stay until they are unmapped
            os._exit(1)
        with _State.lock:
            if _State.busy and not told and not goes_on(setup.go):
                told = True
                interrupt_main()
        time.sleep(_LOOK_S)
