"""Training every cell of a grid, one after the other, and what a terminal shows of it."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.domains import Domain
from ..training.outcome import Failure, try_cell
from ..training.settings import Settings
from ..util.lock import LOOK_S

Record = dict[str, Any]
Failures = list[tuple[str, Failure]]


def run_grid(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    out: Path,
    log: str | None = None,
    seconds: Sequence[float] = (),
) -> tuple[list[Record], Failures]:
    """The records of all cells, and what went wrong with the others.

    Args:
        cells: resolved.
        source, target: the data of all.
        out: below it lie the runs.
        log: a logger's name.
        seconds: what each cell is expected to take, to say how much is left; none: that is not known.
    """
    records: dict[int, Record] = {}
    failures: Failures = []
    several_seeds = len({cell.run.seed for cell in cells}) > 1
    left = deque(enumerate(cells, 1))
    passed = 0  # cells in a row that other processes hold
    while left:
        number, cell = left.popleft()
        name = f"{cell.method.name} · {cell.loss.name}" + (f" · seed {cell.run.seed}" if several_seeds else "")
        title = f"{number}/{len(cells)}  {name}"
        started = time.perf_counter()
        outcome = try_cell(cell, source, target, out, title=title, log=log)
        if outcome.held is not None:  # its turn comes when all others had theirs
            left.append((number, cell))
            passed += 1
            if passed == len(left):
                print(f"waiting: {outcome.held}", flush=True)
            time.sleep(LOOK_S if passed >= len(left) else 0)
            continue
        passed = 0
        if outcome.failure is not None:
            failures.append((name, outcome.failure))
            print(f"{title}  failed", flush=True)
            continue
        assert outcome.record is not None
        records[number] = outcome.record
        took = time.perf_counter() - started
        rest = sum(seconds[other - 1] for other, _ in left) if seconds else 0
        more = f"  about {duration(rest)} left" if rest else ""
        print(f"{title:<32} {in_brief(outcome.record)}  {took:4.0f} s{more}", flush=True)
    return [records[number] for number in sorted(records)], failures


def report_failures(failures: Failures) -> int:
    """Says which cells failed, a line each, and where more is said of it; returns the exit code."""
    for name, failure in failures:
        more = f" ({failure.file})" if failure.file and not failure.mendable else ""
        print(f"failed: {name}: {' '.join(failure.reason.split())}{more}", file=sys.stderr)
    mendable = all(failure.mendable for _, failure in failures)
    return 0 if not failures else 2 if mendable else 1


def duration(seconds: float) -> str:
    """ "40 s" or "12 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def in_brief(record: Record) -> str:
    """A run's scores on the target, or where it has no labels on held-out source, in a few words."""
    scores = record["scores"]
    if target := scores.get("target"):
        frequent = target["macro_recall_20"]
        recall = f"{target['macro_recall']:6.1%}" + ("" if frequent is None else f" (≥ 20 faces {frequent:.1%})")
        return f"accuracy {target['accuracy']:6.1%}  mean recall {recall}"
    classes = sum(count > 0 for count in scores["unlabelled_target"]["predicted"])
    total = len(record["labels"]["names"])
    recall = f"source recall {scores['source']['macro_recall']:6.1%}  " if "source" in scores else ""
    return f"{recall}predicts {classes} of {total} classes"
