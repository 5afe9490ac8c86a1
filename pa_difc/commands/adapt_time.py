"""The time of ``pa-difc adapt``: when its training stops, and what is said if that leaves cells unfinished."""

from __future__ import annotations

from ..util import clock
from ..util.durations import duration
from ..util.errors import UserError
from ..util.process import typed_line
from ..util.terminal import wrapped

#: Seconds of the budget that are kept for the choice, the page and the model: at least so many, at least this share of
#: the budget, and at most the second share.
_ENDING_S, _ENDING, _ENDING_AT_MOST = 15.0, 0.05, 0.25


def training_ends(budget: float, spent: float) -> float:
    """The :func:`.clock.now` at which training stops.

    Args:
        budget: in seconds.
        spent: the seconds of it that are used up.
    """
    return clock.now() + budget - spent - min(_ENDING_AT_MOST * budget, max(_ENDING_S, _ENDING * budget))


def unfinished(cells: int, finished: int, failed: int, budget: str) -> str:
    """Prints that the budget left cells unfinished, and how to resume; returns a sentence on it for the page.

    The sentence has no full stop; it is empty, and nothing is printed, if all cells have finished or failed.

    Args:
        cells: their number.
        finished, failed: how many of them have a record, and how many have failed.
        budget: as the user gave it.

    Raises:
        UserError: the budget ended before a cell had finished.
    """
    left = cells - finished - failed
    if not left:
        return ""
    resume = f"resume with: {typed_line()}"
    if not finished:
        print(resume, flush=True)
        raise UserError(
            f"--budget {budget}: over before one of the {cells} cells had finished, so there is no model yet; "
            "checkpoints are kept, and the same command trains on from them for as long again"
        )
    those = f"the choice is among the {finished} that had" if finished > 1 else "the model is the one that had"
    said = f"--budget {budget} ended before {left} of the {cells} cells had finished: {those}"
    print(f"\n{wrapped(said, indent=2)}\n{resume}", flush=True)
    return f"{said}; the same command resumes the others"


def overrun(given: str, budget: float, took: float) -> str:
    """A line if the command took a tenth longer than its budget, or else empty.

    Args:
        given: the budget, as the user gave it.
        budget, took: in seconds.
    """
    if took <= 1.1 * budget:
        return ""
    return f"this took {duration(took)}, longer than --budget {given}: the machine was slower than when it was measured"
