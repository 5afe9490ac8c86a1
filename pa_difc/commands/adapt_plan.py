"""The plan of ``pa-difc adapt``: which of its cells fit the budget, and for how long each is trained."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..util.names import cell_name, listed
from ..util.terminal import wrapped
from .budget import Plan, TooShortError, decide, describe, untrained
from .measuring import measure
from .plan_file import read_pace, read_plan, write_pace, write_plan

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..training.settings import Settings

#: One trained cell alone is no comparison.
_FEWEST_CELLS = 2


def make_plan(
    out: Path,
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    *,
    precisions: Sequence[str],
    budget: float,
    started: float,
    most_epochs: int,
    jobs: int,
) -> Plan:
    """The plan of an earlier run for the same cells and budget, or a new one, which is written to plan.json.

    If the budget is too short for all cells, the last ones are left out. If it is too short for two, the plan is for
    as_is alone and is not written. The measurements are then kept in pace.json, so that the next call has more time.

    Args:
        out: the folder of the files.
        cells: resolved, in the order of their worth.
        source, target: the data.
        precisions: the candidates; the first one is kept if there is no time to compare.
        budget: in seconds.
        started: the ``time.perf_counter()`` at which it began.
        most_epochs: see :func:`.decide`.
        jobs: how many cells are trained in parallel.

    Raises:
        TooShortError: the budget is too short, and there is no as_is.
    """
    from ..training.record import RunFolder

    keys = [RunFolder.of(out, cell, source, target).key for cell in cells]
    key, path = f"{'-'.join(keys)}-{budget:g}s", out / "plan.json"
    if (plan := read_plan(path, key)) is None:
        kept, same = out / "pace.json", f"{'-'.join(keys)}-{jobs}-{platform.node()}"
        spent = time.perf_counter() - started
        pace = read_pace(kept, same) or measure(
            cells,
            source,
            target,
            budget=budget,
            precisions=precisions,
            scales=_scales(cells[0]),
            jobs=jobs,
            spent=spent,
        )
        left = budget - (spent := time.perf_counter() - started)

        def fit(n: int) -> Plan:
            return decide(
                [cell.method.name for cell in cells[:n]],
                pace,
                source,
                target,
                batch_size=cells[0].data.batch_size,
                most_epochs=most_epochs,
                budget=budget,
                spent=spent,
                key=key,
                jobs=jobs,
            )

        try:
            plan = fit(len(cells))
            kept.unlink(missing_ok=True)
        except TooShortError as error:
            write_pace(kept, pace, same)
            plan = _of_fewer(cells, fit, error)
            if plan is None and cells[0].method.name != "as_is":
                raise
            plan = plan or untrained(pace, source, target, left=left, key=key, why=_untrained(error))
            print(wrapped(plan.left_out, indent=2), file=sys.stderr)
        if plan.steps:
            write_plan(path, plan)
    print(f"{wrapped(describe(plan, source, target, most_epochs, jobs), indent=2)}\n", flush=True)
    return plan


def _scales(first: Settings) -> Sequence[float]:
    """The crops to compare: with a pretrained classifier several, unless one is given."""
    from ..evaluation.crop_choice import SCALES

    assert first.model.input_scale is not None
    several = first.method.name == "as_is" and first.model.input_scale == 1
    return SCALES if several else [first.model.input_scale]


def _of_fewer(cells: Sequence[Settings], fit: Callable[[int], Plan], error: TooShortError) -> Plan | None:
    """The plan of as many of the first cells as fit; None if not even two do."""
    for n in range(len(cells) - 1, _FEWEST_CELLS - 1, -1):
        with suppress(TooShortError):
            names = listed([cell_name(cell.method.name, cell.loss.name) for cell in cells[n:]])
            return replace(fit(n), left_out=f"{error}. Left out: {names}")
    return None


def _untrained(error: TooShortError) -> str:
    return f"{error}. Nothing is trained: the model is as_is, the pretrained classifier"
