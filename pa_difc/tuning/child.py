"""A worker process of a study, started by :mod:`.jobs`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from _thread import interrupt_main
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import torch

from ..data.shared import shared
from ..training.progress import ProgressFile
from ..training.ready import THREADS
from ..util.errors import UserError
from ..util.forks import parent_is_gone, remove_socket
from ..util.interrupts import deferred
from ..util.registry import load_plugin
from .objective import Objective, Task
from .progress import Progress
from .space import defaults
from .steady import one_line_errors
from .storage import open_storage
from .study import attach
from .trials import run_trials
from .workers import Worker

if TYPE_CHECKING:
    from .jobs import Job

#: Seconds between two checks whether to stop.
_LOOK_S = 0.3


def work(job: Job) -> None:
    """Runs trials until the study has enough, or the worker is told to stop.

    Raises:
        UserError: the storage or the data can't be used.
        KeyboardInterrupt: the worker was told to stop; its trial is queued again.
    """
    plan = job.plan
    task: Task = shared(job.task)
    with one_line_errors(plan.address.clean), Worker(plan.folder) as worker:
        with deferred():
            storage = open_storage(plan.address, shared=True)
            study = attach(storage, plan.name, sampler=plan.sampler, pruner=plan.pruner, seed=plan.settings.run.seed)
        title = Progress(study, plan.trials, task.criterion).title
        objective = Objective(task, plan.space, title, progress=partial(ProgressFile, job.progress))
        first = defaults(plan.settings, plan.space)
        run_trials(study, objective, first, plan.trials, worker, heartbeat_s=plan.heartbeat_s, quiet=True)


def _listen(job: Job) -> None:
    """Stops the work when the parent says so, and the process when the parent is gone."""
    told = False
    while True:
        if parent_is_gone(job.parent):
            remove_socket()
            os._exit(1)
        if not told and not job.go.exists():
            told = True
            interrupt_main()
        time.sleep(_LOOK_S)


def main(job: Job, output: Path, errors: Path) -> None:
    """Runs a job in this process, and ends the process.

    Args:
        job: what to do.
        output, errors: files for standard output and standard error.
    """
    if hasattr(os, "setsid"):
        os.setsid()  # a terminal's Ctrl-C only reaches the parent
    for file, stream in ((output, sys.stdout), (errors, sys.stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream.fileno())
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    sys.exit(_code(job))


def _code(job: Job) -> int:
    sys.argv = list(job.command)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(THREADS)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    threading.Thread(target=_listen, args=(job,), daemon=True).start()
    try:
        for plugin in job.plugins:
            load_plugin(plugin)
        work(job)
    except UserError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
