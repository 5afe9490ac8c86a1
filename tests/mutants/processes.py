"""Jobs in children of this process, so many at a time; what has been imported here is there in each."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Job = TypeVar("Job")


def outcomes(
    jobs: Iterable[Job], work: Callable[[Job], int], seconds: Callable[[Job], float], workers: int, shown: bool = False
) -> Iterator[tuple[Job, int]]:
    """Each job with its exit code, in the order in which they end; one that takes too long is killed.

    What jobs print is ``shown`` or thrown away.
    """
    waiting, running, none = iter(jobs), dict[int, tuple[Job, float]](), object()
    gc.freeze()  # a child's garbage collector would copy all pages that it looks through
    try:
        while True:
            while len(running) < workers and (job := next(waiting, none)) is not none:
                running[_fork(job, work, shown)] = (job, time.monotonic() + seconds(job))
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
        for pid in running:
            os.killpg(pid, signal.SIGKILL)


def _fork(job: Job, work: Callable[[Job], int], shown: bool) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        os.setpgid(pid, pid)
        return pid
    code = 70
    try:
        os.setpgid(0, 0)  # a job's own children end with it
        if not shown:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
        code = work(job)
    finally:
        os._exit(code)
