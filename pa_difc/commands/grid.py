"""Training every cell of a grid, one after the other, and what a terminal shows of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.domains import Domain
from ..training.run import run_cell
from ..training.settings import Settings
from ..util.errors import Stopped, UserError

Record = dict[str, Any]
Failure = tuple[str, Exception]


def run_grid(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    out: Path,
    log: str | None = None,
    seconds: Sequence[float] = (),
) -> tuple[list[Record], list[Failure]]:
    """The records of all cells, and what went wrong with the others.

    Args:
        cells: resolved.
        source, target: the data of all.
        out: below it lie the runs.
        log: a logger's name.
        seconds: what each cell is expected to take, to say how much is left; none: that is not known.

    Raises:
        Stopped: Ctrl-C.
    """
    records: list[Record] = []
    failures: list[Failure] = []
    several_seeds = len({cell.run.seed for cell in cells}) > 1
    for number, cell in enumerate(cells, 1):
        name = f"{cell.method.name} · {cell.loss.name}" + (f" · seed {cell.run.seed}" if several_seeds else "")
        title = f"{number}/{len(cells)}  {name}"
        started = time.perf_counter()
        try:
            record = run_cell(cell, source, target, out, title=title, log=log)
        except KeyboardInterrupt as stop:
            done = f"{len(records)} of {len(cells)} cells are done and kept"
            raise Stopped(f"{str(stop) or 'stopped'}; {done}") from None
        except Exception as error:  # whatever it is, the other cells go their way
            failures.append((name, error))
            print(f"{title}  failed", flush=True)
            continue
        records.append(record)
        took = time.perf_counter() - started
        left = f"  about {duration(sum(seconds[number:]))} left" if seconds[number:] else ""
        print(f"{title:<32} {in_brief(record)}  {took:4.0f} s{left}", flush=True)
    return records, failures


def report_failures(failures: Sequence[Failure]) -> int:
    """Says which cells failed; returns the exit code."""
    for name, problem in failures:
        print(f"failed: {name}: {_reason(problem)}", file=sys.stderr)
    mendable = all(isinstance(problem, UserError) for _, problem in failures)
    return 0 if not failures else 2 if mendable else 1


def _reason(problem: Exception) -> str:
    """One line; the host puts the hook's name on lines above the message of what failed in it."""
    if isinstance(problem, UserError):
        return str(problem)
    lines = str(problem).split("\n")
    return ": ".join([type(problem).__name__, *[line.strip() for line in lines if line.strip()][-1:]])


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
