"""Which cells of a grid are compared: pairs that differ in one thing, which is the loss, the method, or one option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .grid import BASE, Cell, Grid
from .run import AS_IS, Run
from .variants import canonical, code_of

#: The baseline losses, the simplest first: each adds a part of DIFC to the one before.
BASES = (BASE, "drw", "di")
#: The baseline methods, the simplest first: without the target, and with its share in BatchNorm's statistics.
SOURCE_ONLY, SOURCE_BN = "source_only", "source_bn"

#: A cell and the one that it is compared with.
Pair = tuple[Cell, Cell]

#: A method's option that names a loss, so that it is compared between losses.
_TARGET_LOSS = "target_loss"


def of_losses(grid: Grid) -> list[Pair]:
    """Each loss over each simpler one with the same method and shared options, and over itself with another option.

    The loss on pseudo-labels (``target_loss``) is compared in the same way, between runs that differ in nothing else.
    """
    return [(cell, other) for cell in _cells(grid) for other in (*simpler(grid, cell), *_other_losses(grid, cell))]


def of_methods(grid: Grid) -> list[Pair]:
    """Each method over the baseline methods with the same loss, and over itself with another option, without as_is."""
    return [(cell, other) for cell in _cells(grid) for other in _other_methods(grid, cell)]


def simpler(grid: Grid, cell: Cell) -> list[Cell]:
    """The baselines of a cell: those whose loss, or whose loss on pseudo-labels, is simpler."""
    method, loss = cell
    first = _first(grid, cell)
    found = [(method, variant) for base in _before(first.loss) for variant in grid.variants(base)]
    found = [base for base in found if grid.of(*base) and _share_options(first, _first(grid, base))]
    target_loss, rest = _target_loss(first)
    if target_loss is not None:
        others = {other: _target_loss(_first(grid, (other, loss))) for other in grid.methods if grid.of(other, loss)}
        found += [(o, loss) for base in _before(target_loss) for o, its in others.items() if its == (base, rest)]
    return found


def _cells(grid: Grid) -> list[Cell]:
    return [(method, loss) for method in grid.methods for loss in grid.losses if grid.of(method, loss)]


def _first(grid: Grid, cell: Cell) -> Run:
    return next(iter(grid.of(*cell).values()))


def _before(loss: str) -> Sequence[str]:
    """The losses of :data:`BASES` simpler than a loss; all of them if it is not one itself."""
    return BASES[: BASES.index(loss)] if loss in BASES else BASES


def _other_losses(grid: Grid, cell: Cell) -> Iterator[Cell]:
    """The same loss with one other option, of those that come before it in the table."""
    method, loss = cell
    for other in grid.losses[: grid.losses.index(loss)]:
        if grid.of(method, other) and len(_apart(grid, cell, (method, other), "loss")) == 1:
            yield method, other


def _other_methods(grid: Grid, cell: Cell) -> Iterator[Cell]:
    """The baseline methods, and the same method with one other option, of those that come before it in the table."""
    method, loss = cell
    name = _first(grid, cell).method
    simpler = {AS_IS: (), SOURCE_ONLY: (), SOURCE_BN: (SOURCE_ONLY,)}.get(name, (SOURCE_ONLY, SOURCE_BN))
    others = [other for other in grid.methods if grid.of(other, loss)]
    yield from ((o, loss) for base in simpler for o in others if _first(grid, (o, loss)).method == base)
    for other in grid.methods[: grid.methods.index(method)]:
        if grid.of(other, loss):
            apart = _apart(grid, cell, (other, loss), "method")
            if len(apart) == 1 and _TARGET_LOSS not in apart:
                yield other, loss


def _apart(grid: Grid, cell: Cell, other: Cell, kind: str) -> list[str]:
    """The options in which two cells' methods or losses of the same name differ, with "code"; empty for others."""
    a, b = (_first(grid, one).record for one in (cell, other))
    if a["settings"][kind]["name"] != b["settings"][kind]["name"]:
        return []
    ours, theirs = ({k: canonical(v) for k, v in _options(one, kind).items()} for one in (a, b))
    keys = [key for key in dict.fromkeys((*ours, *theirs)) if ours.get(key) != theirs.get(key)]
    return keys + ["code"] * (canonical(code_of(a, kind)) != canonical(code_of(b, kind)))


def _share_options(run: Run, base: Run) -> bool:
    """Whether the options that two losses have in common are equal."""
    ours, theirs = _options(run.record, "loss"), _options(base.record, "loss")
    return all(canonical(ours[key]) == canonical(theirs[key]) for key in ours if key in theirs)


def _options(record: dict[str, Any], kind: str) -> dict[str, Any]:
    return dict(record["settings"][kind].get("options", {}))


def _target_loss(run: Run) -> tuple[str | None, str]:
    """The loss on pseudo-labels, if the method has one, and a key of the method without it."""
    options = _options(run.record, "method")
    return options.pop(_TARGET_LOSS, None), canonical([run.method, options])
