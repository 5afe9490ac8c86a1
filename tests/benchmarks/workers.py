"""The grid of make demo by one process on two threads, and by one, two and four workers of one thread: paired runs.

Every run trains its twelve cells anew, for a few epochs: start-up then weighs more than in ``make demo`` itself, and
the ratios are on the safe side. Wall times of a machine with other work say little.
"""

from __future__ import annotations

import csv
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

Rows = list[dict[str, str]]

#: The flags of make demo.
GRID = ["--source", "toy_studio", "--target", "toy_street", "--methods", "source_only", "dann", "safn", "mcd"]
GRID += ["--losses", "ce", "di", "difc", "--epochs", "3"]

#: Flags by side.
SIDES: dict[str, list[str]] = {"two threads": [], **{f"{n} workers": ["--jobs", str(n)] for n in (1, 2, 4)}}

#: The command line, and on the side without --jobs the same in one process with all its threads, as for a GPU.
COMMAND = "from pa_difc.__main__ import entry; entry()"
ONE_PROCESS = f"import pa_difc.commands.grid as grid; grid.usual_jobs = lambda cells: None; {COMMAND}"


def workers(device: str) -> list[Figure]:
    """Wall and CPU seconds of whole commands; see the module."""
    wall: dict[str, list[float]] = {side: [] for side in SIDES}
    cpu: dict[str, list[float]] = {side: [] for side in SIDES}
    tables: dict[str, Rows] = {}
    for turn in range(ROUNDS):
        for side in list(SIDES)[:: 1 if turn % 2 == 0 else -1]:
            took, used, table = _run([*GRID, *SIDES[side], "--device", device])
            wall[side].append(took)
            cpu[side].append(used)
            if "--jobs" in SIDES[side] and table != tables.setdefault("workers", table):
                raise SystemExit(f"{side}: another table than with fewer or more workers")
            print(f"{side}: {took:.0f} s, {used:.0f} s of CPU", file=sys.stderr, flush=True)
    one, two, four, threads = "1 workers", "2 workers", "4 workers", "two threads"
    return [
        ratio("workers", "wall time, --jobs 2 over --jobs 1", wall[two], wall[one], ("≤", 0.72)),
        ratio("workers", "wall time, --jobs 2 over one process of two threads", wall[two], wall[threads]),
        ratio("workers", "CPU time, --jobs 4 over --jobs 1", cpu[four], cpu[one], ("≤", 1.3)),
        ratio("workers", "CPU time, one process of two threads over --jobs 1", cpu[threads], cpu[one]),
    ]


def _run(flags: list[str]) -> tuple[float, float, Rows]:
    """Wall and CPU seconds of the command with all its processes, and the scores of its table."""
    before, start = _cpu(), time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        code = COMMAND if "--jobs" in flags else ONE_PROCESS
        command = [sys.executable, "-W", "ignore", "-c", code, "compare", *flags, "--out", out]
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        took, used = time.perf_counter() - start, _cpu() - before
        with (Path(out) / "table.csv").open(newline="") as file:
            return took, used, [{name: row[name] for name in row if name != "seconds"} for row in csv.DictReader(file)]


def _cpu() -> float:
    """CPU seconds of processes that have ended and were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
