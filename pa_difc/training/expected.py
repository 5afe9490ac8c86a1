"""How long the cells of a grid take, learnt from those that were trained: which one goes next, how much is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import mean

from .settings import Settings


class Expected:
    """What cells are expected to take: as long as others of their method did.

    Args:
        cells: of the grid.
        seconds: of each, where they are known already.
    """

    def __init__(self, cells: Sequence[Settings], seconds: Sequence[float] = ()) -> None:
        self._methods = [cell.method.name for cell in cells]
        self._given = list(seconds)
        self._seen: dict[str, list[float]] = {}

    def learn(self, number: int, seconds: float) -> None:
        """A cell has taken, or is going to take, so long."""
        self._seen.setdefault(self._methods[number], []).append(seconds)

    def of(self, number: int) -> float | None:
        """Seconds of a cell; None where nothing is known of its method."""
        if self._given:
            return self._given[number]
        seen = self._seen.get(self._methods[number])
        return mean(seen) if seen else None

    def next(self, cells: Collection[int], begun: Collection[int]) -> int:
        """Which of some cells goes next: one of a method that nobody has timed, then the longest.

        Args:
            cells: to choose from, in their order.
            begun: cells that have been begun already.
        """
        tried = {self._methods[number] for number in begun}
        unknown = [n for n in cells if self.of(n) is None]
        if fresh := [n for n in unknown if self._methods[n] not in tried]:
            return fresh[0]
        return max(cells, key=lambda n: (self.of(n) or 0.0, -n))

    def left(self, waiting: Collection[int], running: Sequence[float], slots: int) -> float | None:
        """Seconds until all is done; None where nothing is known.

        Args:
            waiting: cells that have not begun.
            running: what is left of those that have, where it is known.
            slots: how many are trained at a time.
        """
        known = [seconds for number in waiting if (seconds := self.of(number)) is not None]
        if waiting and not known:
            return None
        unknown = (len(waiting) - len(known)) * mean(known) if known else 0.0
        return max([(sum(known) + unknown + sum(running)) / slots, *known, *running], default=0.0)
