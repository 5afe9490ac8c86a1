"""The grid of make demo by one process on two threads, and by one, two and four workers of one thread: paired runs.

Twelve cells are trained anew in every run, which takes minutes. Wall times of a machine with other work say little.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .measure import Figure, ratio

ROOT = Path(__file__).parents[2]
ROUNDS = 3

#: The flags of make demo.
GRID = ["--source", "toy_studio", "--target", "toy_street", "--methods", "source_only", "dann", "safn", "mcd"]
GRID += ["--losses", "ce", "di", "difc"]

#: Flags by side; without --jobs one process trains on all threads, two of them here.
SIDES: dict[str, list[str]] = {"two threads": [], **{f"{n} workers": ["--jobs", str(n)] for n in (1, 2, 4)}}


def workers(device: str) -> list[Figure]:
    """Wall and CPU seconds of whole commands; see the module."""
    wall: dict[str, list[float]] = {side: [] for side in SIDES}
    cpu: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(ROUNDS):
        for side in list(SIDES)[:: 1 if turn % 2 == 0 else -1]:
            seconds = _run([*GRID, *SIDES[side], "--device", device])
            wall[side].append(seconds[0])
            cpu[side].append(seconds[1])
            print(f"{side}: {seconds[0]:.0f} s, {seconds[1]:.0f} s of CPU", file=sys.stderr, flush=True)
    one, two, four, threads = "1 workers", "2 workers", "4 workers", "two threads"
    return [
        ratio("workers", "wall time, --jobs 2 over --jobs 1", wall[two], wall[one], ("≤", 0.72)),
        ratio("workers", "wall time, --jobs 2 over one process of two threads", wall[two], wall[threads]),
        ratio("workers", "CPU time, --jobs 4 over --jobs 1", cpu[four], cpu[one], ("≤", 1.3)),
        ratio("workers", "CPU time, one process of two threads over --jobs 1", cpu[threads], cpu[one]),
    ]


def _run(flags: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of the command with all its processes."""
    before, start = _cpu(), time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-W", "ignore", "-m", "pa_difc", "compare", *flags, "--out", out]
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start, _cpu() - before


def _cpu() -> float:
    """CPU seconds of processes that have ended and were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
