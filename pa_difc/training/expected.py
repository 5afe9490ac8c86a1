"""Expected duration of a grid's cells, learnt from finished ones: which cell is next, how much time is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import mean

from .settings import Settings

#: What the duration of a cell depends on most: method, backbone, epochs, and whether its features are frozen.
Kind = tuple[str, str, int, bool]


def kind_of(cell: Settings, frozen: bool) -> Kind:
    """The kind of a cell; all cells of a kind are expected to take the same time."""
    return cell.method.name, cell.model.backbone, cell.run.epochs, frozen


@dataclass
class Course:
    """The course of a command that trains several grids, one after the other.

    Attributes:
        frozen: whether the current grid's features are frozen.
        ahead: the cells of later grids that have to be trained.
        seen: the seconds of finished cells, those of earlier grids included.
    """

    frozen: bool = False
    ahead: Sequence[Kind] = ()
    seen: dict[Kind, list[float]] = field(default_factory=dict)

    def of(self, kind: Kind) -> float | None:
        """Expected seconds of a cell of a later grid; None if no cell of its kind has finished."""
        seen = self.seen.get(kind)
        return mean(seen) if seen else None


class Expected:
    """Expected duration of cells: the mean of finished cells of the same kind, of this grid if there are any.

    Args:
        cells: the cells of the grid.
        seconds: the duration of each, if known beforehand.
        course: what comes before and after the grid; None for nothing.
    """

    def __init__(self, cells: Sequence[Settings], seconds: Sequence[float] = (), course: Course | None = None) -> None:
        self._course = course or Course()
        self._kinds = [kind_of(cell, self._course.frozen) for cell in cells]
        self._given = list(seconds)
        self._seen: dict[Kind, list[float]] = {}
        self._noted: dict[Kind, float] = {}

    def learn(self, number: int, seconds: float) -> None:
        """Notes how long a cell has taken or will take."""
        for seen in (self._seen, self._course.seen):
            seen.setdefault(self._kinds[number], []).append(seconds)

    def note(self, number: int, seconds: float) -> None:
        """Notes how long a cell that is being trained will take, which counts until one of its kind has finished."""
        self._noted[self._kinds[number]] = seconds

    def of(self, number: int) -> float | None:
        """Expected seconds of a cell; None if nothing is known about its kind."""
        if self._given:
            return self._given[number]
        kind = self._kinds[number]
        if kind in self._seen:
            return mean(self._seen[kind])
        known = self._course.of(kind)
        return self._noted.get(kind) if known is None else known

    def next(self, cells: Collection[int], begun: Collection[int]) -> int:
        """Chooses the next cell: first one of a kind not started yet, then the longest.

        Args:
            cells: the cells to choose from, in order.
            begun: cells that have started already.
        """
        tried = {self._kinds[number] for number in begun}
        unknown = [n for n in cells if self.of(n) is None]
        if fresh := [n for n in unknown if self._kinds[n] not in tried]:
            return fresh[0]
        return max(cells, key=lambda n: (self.of(n) or 0.0, -n))

    def left(self, waiting: Collection[int], running: Sequence[float], slots: int) -> float | None:
        """Expected seconds until all cells are done, and those of later grids; None if most of them are unknown.

        Args:
            waiting: cells that have not started.
            running: the remaining seconds of running cells, where known.
            slots: how many cells run in parallel.
        """
        each = [*map(self.of, waiting), *map(self._course.of, self._course.ahead)]
        known = [seconds for seconds in each if seconds is not None]
        if len(known) < len(each) / 2 or (each and not known):
            return None
        unknown = (len(each) - len(known)) * mean(known) if known else 0.0
        return max([(sum(known) + unknown + sum(running)) / slots, *known, *running], default=0.0)
