"""Expected duration of a grid's cells, learnt from finished ones: which cell is next, how much time is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import mean

from .settings import Settings


class Expected:
    """Expected duration of cells: the mean of finished cells of the same method.

    Args:
        cells: the cells of the grid.
        seconds: the duration of each, if known beforehand.
    """

    def __init__(self, cells: Sequence[Settings], seconds: Sequence[float] = ()) -> None:
        self._methods = [cell.method.name for cell in cells]
        self._given = list(seconds)
        self._seen: dict[str, list[float]] = {}

    def learn(self, number: int, seconds: float) -> None:
        """Notes how long a cell has taken or will take."""
        self._seen.setdefault(self._methods[number], []).append(seconds)

    def of(self, number: int) -> float | None:
        """Expected seconds of a cell; None if nothing is known about its method."""
        if self._given:
            return self._given[number]
        seen = self._seen.get(self._methods[number])
        return mean(seen) if seen else None

    def next(self, cells: Collection[int], begun: Collection[int]) -> int:
        """Chooses the next cell: first one of a method not started yet, then the longest.

        Args:
            cells: the cells to choose from, in order.
            begun: cells that have started already.
        """
        tried = {self._methods[number] for number in begun}
        unknown = [n for n in cells if self.of(n) is None]
        if fresh := [n for n in unknown if self._methods[n] not in tried]:
            return fresh[0]
        return max(cells, key=lambda n: (self.of(n) or 0.0, -n))

    def left(self, waiting: Collection[int], running: Sequence[float], slots: int) -> float | None:
        """Expected seconds until all cells are done; None if unknown.

        Args:
            waiting: cells that have not started.
            running: the remaining seconds of running cells, where known.
            slots: how many cells run in parallel.
        """
        known = [seconds for number in waiting if (seconds := self.of(number)) is not None]
        if waiting and not known:
            return None
        unknown = (len(waiting) - len(known)) * mean(known) if known else 0.0
        return max([(sum(known) + unknown + sum(running)) / slots, *known, *running], default=0.0)
