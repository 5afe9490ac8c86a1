"""The limits of a page's first sentence: what it leaves out, which stands beside it and is never folded."""

from __future__ import annotations

from ..util.names import listed
from .grid import Grid
from .lead import not_ranked
from .selection import Selection


def limits_of(grid: Grid, choice: Selection | None, damaged: int) -> list[str]:
    """Sentences on what the lead's claim is not about, to read with it.

    Args:
        grid: of the page.
        choice: the choice of a command that makes one.
        damaged: how many runs are left out.
    """
    ranked = not_ranked(grid) if grid.labelled and choice is None else []
    return [
        *ranked,
        *(_few_classes(grid) if grid.labelled else ()),
        *left_out(damaged),
        *(f"{line}." for line in (choice.limits if choice else ())),
    ]


def _few_classes(grid: Grid) -> list[str]:
    """A sentence if fewer than half of the classes are among the test faces."""
    counts = grid.runs[0].record["data"]["target"]["test_counts"]
    known = [name for name, number in zip(grid.classes, counts, strict=True) if number]
    if 2 * len(known) >= len(counts):
        return []
    are = "is" if len(known) == 1 else "are"
    return [f"Only {len(known)} of {len(counts)} classes {are} among the test faces: {listed(known)}."]


def left_out(runs: int, pages: int = 0) -> list[str]:
    """A sentence on damaged runs, and on pages that can't be written, which a report leaves out; none without any."""
    counts = [f"{n} {what}{'s' * (n > 1)}" for n, what in ((runs, "damaged run"), (pages, "page")) if n]
    if not counts:
        return []
    return [f"{' and '.join(counts)} {'are' if runs + pages > 1 else 'is'} left out; the notes say which and why."]
