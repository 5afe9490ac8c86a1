"""The source and target that each cell of a grid trains on: the same for all, or with its own draw of the target."""

from __future__ import annotations

from ..data.domains import Domain
from ..data.label_shift import shift_labels
from .frozen import standardised
from .settings import Settings


class Pairs:
    """Source and target of every cell.

    Args:
        source, target: as returned by :func:`.load_pair`, or features.
        shifted: whether each cell's settings shift the target's class proportions; features, not standardised before,
            are then standardised by the shifted target.
    """

    def __init__(self, source: Domain, target: Domain, *, shifted: bool = False) -> None:
        self.source, self.target, self.shifted = source, target, shifted
        self._last: tuple[tuple[float | None, int], tuple[Domain, Domain]] | None = None

    def of(self, settings: Settings) -> tuple[Domain, Domain]:
        """The pair of a cell; the last one is cached, as cells with the same draw follow each other."""
        if not self.shifted:
            return self.source, self.target
        draw = settings.data.target_shift, settings.data.shift_draw
        if self._last is None or self._last[0] != draw:
            self._last = draw, self._drawn(*draw)
        return self._last[1]

    def _drawn(self, alpha: float | None, draw: int) -> tuple[Domain, Domain]:
        target = self.target if alpha is None else shift_labels(self.target, alpha, draw)
        return (standardised(self.source), standardised(target)) if target.features_of else (self.source, target)
