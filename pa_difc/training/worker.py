"""What a worker process of a grid does: it maps the data once, and trains the cells that it is given."""

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
from pathlib import Path
from typing import Any

import torch

from ..data.shared import shared
from ..util.registry import load_plugin
from .cores import THREADS
from .outcome import Outcome, try_cell
from .progress import ProgressFile
from .settings import Settings

#: Seconds between two looks at what a worker is told.
_LOOK_S = 0.3


@dataclass(frozen=True)
class Setup:
    """What a worker is told once.

    Attributes:
        value: the file of what all work on, see :func:`.share`.
        out: below it lie the runs.
        log: a logger's name.
        go: a file in a folder for this grid alone; when it, or the folder, is gone, workers stop.
        parent: the process that started the worker, which ends with it.
        command: the command line, for records.
        plugins: files of the user's.
        tidies: the folder is that of a parent that holds all workers: whichever outlives it removes it.
    """

    value: Path
    out: Path
    log: str | None
    go: Path
    parent: int
    command: Sequence[str]
    plugins: Sequence[Path]
    tidies: bool = True


class _State:
    value: Any = None
    busy = False
    lock = threading.Lock()  # whoever is told to stop is within the block that expects it


def train(setup: Setup, settings: Settings, title: str, progress: Path) -> Path:
    """Trains a cell, unless workers are to stop.

    Args:
        setup: the same for all cells; its value is a :class:`.Pairs`.
        settings: resolved.
        title: of the cell.
        progress: the file that says how far it is.

    Returns:
        a file of an outcome, empty if the cell was stopped, and of what was printed meanwhile.
    """
    bar: Any = partial(ProgressFile, progress)

    def cell() -> Outcome:
        source, target = value_of(setup).of(settings)
        return try_cell(settings, source, target, setup.out, title=title, progress=bar, log=setup.log)

    return told(setup, cell, Outcome(), progress)


def told(setup: Setup, work: Callable[[], Any], stopped: Any, progress: Path) -> Path:
    """Does something, unless workers are to stop.

    Args:
        setup: the same for all work.
        work: what is done.
        stopped: what came of it if it was stopped.
        progress: the file that says how far it is.

    Returns:
        a file next to it: of what came of it, and of what was printed meanwhile. All that goes through the pipe is its
        name, which is written at once: half a result, of a worker that was killed, would have the parent wait for the
        other half.
    """
    result, said = stopped, io.StringIO()
    try:
        _State.busy = True
        with redirect_stdout(said):
            result = work()
    except KeyboardInterrupt:
        if goes_on(setup.go):
            raise  # nobody told it to stop
    finally:
        with _State.lock:
            _State.busy = False
        progress.unlink(missing_ok=True)
    file = progress.with_suffix(".result")
    file.write_bytes(pickle.dumps((result, said.getvalue())))
    return file


def goes_on(go: Path) -> bool:
    """Whether a grid is still running. Opens files, because shared disks are slow to report that one is gone."""
    try:
        go.open("rb").close()
    except OSError:
        return False
    return True


def value_of(setup: Setup) -> Any:
    """What all work on; the first time this process is made ready, too."""
    if _State.value is None:
        torch.set_num_threads(THREADS)
        sys.argv = list(setup.command)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # of the listener; a terminal's is blocked
        threading.Thread(target=_listen, args=(setup,), daemon=True).start()
        with redirect_stdout(io.StringIO()):  # the parent has shown what plugins say
            for plugin in setup.plugins:
                load_plugin(plugin)
        _State.value = shared(setup.value)
    return _State.value


def _listen(setup: Setup) -> None:
    """Stops this process's cell when it is told to, and the process when its parent is gone, killed or not."""
    told = False
    while True:
        if os.getppid() != setup.parent:
            if setup.tidies:
                shutil.rmtree(setup.go.parent, ignore_errors=True)  # what is mapped stays until it is let go of
            os._exit(1)
        with _State.lock:
            if _State.busy and not told and not goes_on(setup.go):
                told = True
                interrupt_main()
        time.sleep(_LOOK_S)
