"""What a worker process of a grid does: it maps the data once, and trains the cells that it is given."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..data.domains import Domain
from ..data.shared import shared
from ..util.registry import load_plugin
from .outcome import Outcome, try_cell
from .progress import ProgressFile
from .settings import Settings

#: Of a worker. One thread each: results must not depend on how many workers there are, and threads of several
#: processes wait for each other.
THREADS = 1

#: The environment of a worker: libraries read it when they are imported.
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS))

#: Seconds between two looks at what a worker is told.
_LOOK_S = 0.3


@dataclass(frozen=True)
class Setup:
    """What a worker is told once.

    Attributes:
        pair: the file of source and target, see :func:`.share`.
        out: below it lie the runs.
        log: a logger's name.
        stop: a file in a folder for this grid alone; when it is there, workers stop.
        parent: the process that gives out cells; its workers end with it.
        command: its command line, for records.
        plugins: files of the user's.
    """

    pair: Path
    out: Path
    log: str | None
    stop: Path
    parent: int
    command: Sequence[str]
    plugins: Sequence[Path]


class _State:
    setup: Setup
    pair: tuple[Domain, Domain]
    busy = False


def start_worker(setup: Setup) -> None:
    """Prepares this process for :func:`work`."""
    torch.set_num_threads(THREADS)
    sys.argv = list(setup.command)
    for plugin in setup.plugins:
        load_plugin(plugin)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which says when to stop
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _State.setup, _State.pair = setup, shared(setup.pair)
    threading.Thread(target=_listen, args=(setup,), daemon=True).start()


def work(settings: Settings, title: str, progress: Path) -> tuple[Outcome, str]:
    """Trains a cell, unless workers are to stop.

    Args:
        settings: resolved.
        title: of the cell.
        progress: the file that says how far it is.

    Returns:
        what became of it, nothing if it was stopped, and what was printed meanwhile.
    """
    setup, said = _State.setup, io.StringIO()
    try:
        _State.busy = True
        if setup.stop.exists():
            return Outcome(), ""
        bar: Any = partial(ProgressFile, progress)
        with redirect_stdout(said):
            outcome = try_cell(settings, *_State.pair, setup.out, title=title, progress=bar, log=setup.log)
    except KeyboardInterrupt:
        return Outcome(), ""
    finally:
        _State.busy = False
        progress.unlink(missing_ok=True)
    return outcome, said.getvalue()


def _listen(setup: Setup) -> None:
    """Stops this process's cell when it is told to, and the process when its parent is gone, killed or not."""
    while True:
        if os.getppid() != setup.parent:
            shutil.rmtree(setup.stop.parent, ignore_errors=True)  # what is mapped stays until it is let go of
            os._exit(1)
        if _State.busy and setup.stop.exists():
            interrupt_main(signal.SIGTERM)
            return
        time.sleep(_LOOK_S)
