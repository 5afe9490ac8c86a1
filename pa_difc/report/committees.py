"""Finds the other cells of a run's grid, to see where they disagree."""

from __future__ import annotations

from collections.abc import Sequence

from ..util.errors import UserError
from ..util.names import as_utf8, listed
from .groups import group_key
from .mistakes import Committee, committee
from .run import Array, Run
from .variants import canonical

_NAMED = 3  #: most runs that are named


def committee_of(run: Run) -> tuple[Committee | None, tuple[str, ...]]:
    """Where the cells of a run's grid disagree, None if there is only one, and a note on runs that can't be read."""
    cells, lost = _cells(run)
    found = committee(cells) if len(cells) > 1 else None
    return found, (_without(lost, counted=found is not None),) if lost else ()


def _cells(run: Run) -> tuple[list[list[Array]], list[str]]:
    """The probabilities of each cell of a run's grid, itself included, from the runs in the same folder.

    Also the names of the runs whose records or predictions can't be read.
    """
    from ..training.record import read_record

    n, key, lost = run.scored, group_key(run.record), []
    cells: dict[tuple[str, str], list[Array]] = {}
    for path in sorted(run.path.absolute().parent.glob("*/record.json")):
        try:
            record = read_record(path)
            if group_key(record) != key:
                continue
            other = Run(path.parent, record)
            probs = (other.outputs or {}).get("target_probs")
        except UserError:
            probs = None
        if probs is None:
            lost.append(path.parent.name)
        elif len(probs) == n:
            cells.setdefault(_cell(other), []).append(probs)
    return list(cells.values()), lost


def _cell(run: Run) -> tuple[str, str]:
    """A key of a run's cell: method and loss with all their options."""
    return canonical(run.settings["method"]), canonical(run.settings["loss"])


def _without(lost: Sequence[str], counted: bool) -> str:
    """A sentence on runs of the same folder whose cells have no vote."""
    few, more = [as_utf8(name) for name in lost[:_NAMED]], len(lost) - _NAMED
    names = listed([*few, *([f"{more:,} others"] if more > 0 else [])])
    where = "was counted without" if counted else "is not known for want of"
    return f"Where cells disagree {where} {names}, of which no readable predictions are left."
