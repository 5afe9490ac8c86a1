"""Jobs in children of this process, so many at a time; what has been imported here is there in each."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Job = TypeVar("Job")


def outcomes(
    jobs: Iterable[Job], work: Callable[[Job], int], seconds: Callable[[Job], float], workers: int, shown: bool = False
) -> Iterator[tuple[Job, int]]:
    """Each job with its exit code, in the order in which they end.

    Args:
        jobs: in the order in which they begin.
        work: what a child does with a job; returns its exit code.
        seconds: of processor time after which a job is killed; on a busy machine it lasts longer, up to ten times.
        workers: children at a time.
        shown: whether what jobs print is seen, or thrown away.
    """
    waiting, running, none = iter(jobs), dict[int, tuple[Job, float]](), object()
    gc.freeze()  # a child's garbage collector would copy all pages that it looks through
    try:
        while True:
            while len(running) < workers and (job := next(waiting, none)) is not none:
                limit = seconds(job)
                running[_fork(job, work, limit, shown)] = (job, time.monotonic() + 10 * limit)
            if not running:
                return
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                yield running.pop(pid)[0], os.waitstatus_to_exitcode(status)
                continue
            for late in [pid for pid, (_, end) in running.items() if time.monotonic() > end]:
                os.killpg(late, signal.SIGKILL)
            time.sleep(0.002)
    finally:
        gc.unfreeze()
        for pid in running:
            os.killpg(pid, signal.SIGKILL)


def _fork(job: Job, work: Callable[[Job], int], seconds: float, shown: bool) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        os.setpgid(pid, pid)
        return pid
    code = 70
    try:
        os.setpgid(0, 0)  # a job's own children end with it
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        if not shown:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
        code = work(job)
    finally:
        os._exit(code)
