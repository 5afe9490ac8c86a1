"""A worker process of a study, started by :mod:`.jobs` as ``python -m pa_difc.tuning.child``."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from _thread import interrupt_main
from functools import partial

import optuna
import torch

from ..data.shared import shared
from ..training.progress import ProgressFile
from ..training.ready import THREADS
from ..util.errors import UserError
from ..util.registry import load_plugin
from .interrupts import deferred
from .jobs import Job
from .objective import Objective, Task
from .progress import Progress
from .space import defaults
from .steady import one_line_errors
from .storage import open_storage
from .study import attach
from .trials import run_trials
from .workers import Worker

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
        title = Progress(study, plan.trials, printed=False).title
        objective = Objective(task, plan.space, title, progress=partial(ProgressFile, job.progress))
        first = defaults(plan.settings, plan.space)
        run_trials(study, objective, first, plan.trials, worker, heartbeat_s=plan.heartbeat_s, quiet=True)


def _listen(job: Job) -> None:
    """Stops the work when the parent says so, and the process when the parent is gone."""
    told = False
    while True:
        if os.getppid() != job.parent:
            os._exit(1)
        if not told and not job.go.exists():
            told = True
            interrupt_main()
        time.sleep(_LOOK_S)


def main() -> int:
    """Reads a :class:`.Job` from standard input and runs it; returns the exit code."""
    job = pickle.load(sys.stdin.buffer)
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


if __name__ == "__main__":
    sys.exit(main())
