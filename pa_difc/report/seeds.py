"""Marks cells with other seeds than the rest of their table, because their means are over other runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from .run import AS_IS


def usual_seeds(of_cells: Iterable[Collection[int]]) -> tuple[int, ...]:
    """The seeds that most cells of a table have; on a tie, the larger set."""
    counts = Counter(tuple(sorted(seeds)) for seeds in of_cells if seeds)
    return max(counts, key=lambda seeds: (counts[seeds], len(seeds)), default=())


def seeds_mark(method: str, seeds: Collection[int], usual: Collection[int]) -> str:
    """A mark such as "(seed 0)" if a cell's seeds are not the usual ones; none for as_is, which is deterministic."""
    if not seeds or method.partition(" ")[0] == AS_IS or sorted(seeds) == sorted(usual):
        return ""
    return named(seeds)


def named(seeds: Iterable[int]) -> str:
    """Seeds as a mark, such as "(seed 0)" or "(seeds 0, 1)"."""
    return f"({_listed(seeds)})"


def seeds_note(seeds: Mapping[tuple[str, str], Collection[int]]) -> list[str]:
    """A note, without a full stop, on the seeds of cells without a mark; none if no cell has one."""
    if not any(marks_of(seeds).values()):
        return []
    return [f"{_listed(_usual(seeds))} unless a cell names others"]


def marks_of(seeds: Mapping[tuple[str, str], Collection[int]]) -> dict[tuple[str, str], str]:
    """The mark of each cell of a table, by method and loss; empty if its seeds are the usual ones."""
    usual = _usual(seeds)
    return {cell: seeds_mark(cell[0], own, usual) for cell, own in seeds.items()}


def _usual(seeds: Mapping[tuple[str, str], Collection[int]]) -> tuple[int, ...]:
    return usual_seeds(own for (method, _), own in seeds.items() if method.partition(" ")[0] != AS_IS)


def _listed(seeds: Iterable[int]) -> str:
    found = sorted(seeds)
    return f"seed{'s' * (len(found) > 1)} {', '.join(map(str, found))}"
