"""Places the labels of a plot's points where they cover no other point, label or axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: A box: left, right, bottom and top, in pixels.
Box = tuple[float, float, float, float]
#: The ends of what an axis spans.
Span = tuple[float, float]

#: Width of a letter and height of a line, in pixels.
_LETTER, _LINE = 6.0, 12.0
_LARGE, _SMALL = 8.0, 3.0  #: half the size of a mean's and a seed's marker
_EDGE = 18.0  #: between the outermost points and the axes
#: Where a label may stand, the best place first: which end of it is at the point, and pixels to the right and up.
_PLACES: tuple[tuple[str, float, float], ...] = tuple(
    (align, dx, dy)
    for dy in (9, -9, 20, -20, 34, -34)
    for align, dx in (("left", 9), ("right", -9), *((("center", 0),) if abs(dy) > 9 else ()))
)


@dataclass(frozen=True)
class Place:
    """Where a label stands."""

    align: str  #: which side of the label is at the point: left, right or center
    dx: float  #: pixels to the right of the point
    dy: float  #: pixels above it, to the label's middle


def places(
    labels: Sequence[str],
    means: Sequence[tuple[float, float]],
    seeds: Sequence[tuple[float, float]],
    spans: tuple[Span, Span],
    size: tuple[float, float],
) -> list[Place]:
    """A place for the label of each mean; empty labels get one, too, and take none.

    Args:
        labels: of the means.
        means, seeds: points in the plot's units.
        spans: of its axes, in these units.
        size: of the plot in pixels.
    """
    put = _to_pixels(spans, size)
    taken = [(_around(*put(p), _LARGE), 10.0) for p in means] + [(_around(*put(p), _SMALL), 1.0) for p in seeds]
    found = []
    for label, point in zip(labels, means, strict=True):
        boxes = {place: _box(label, put(point), place) for place in _PLACES}
        best = min(boxes, key=lambda place: _cost(boxes[place], taken, size)) if label else _PLACES[0]
        found.append(Place(*best))
        taken += [(boxes[best], 20.0)] if label else []
    return found


def _to_pixels(
    spans: tuple[Span, Span], size: tuple[float, float]
) -> Callable[[tuple[float, float]], tuple[float, float]]:
    """Maps the plot's units to pixels: what the axes span begins and ends a little within them."""

    def put(point: tuple[float, float]) -> tuple[float, float]:
        x, y = (
            _EDGE + (value - low) / (high - low) * (whole - 2 * _EDGE)
            for value, (low, high), whole in zip(point, spans, size, strict=True)
        )
        return x, y

    return put


def _around(x: float, y: float, r: float) -> Box:
    return x - r, x + r, y - r, y + r


def _box(label: str, point: tuple[float, float], place: tuple[str, float, float]) -> Box:
    (x, y), (align, dx, dy) = point, place
    width = _LETTER * len(label)
    left = x + dx - width * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
    return left, left + width, y + dy - _LINE / 2, y + dy + _LINE / 2


def _cost(box: Box, taken: Sequence[tuple[Box, float]], size: tuple[float, float]) -> float:
    """What a label in a box would cover; a label outside of the plot lies on the axes' numbers."""
    left, right, bottom, top = box
    outside = sum(max(0.0, over) for over in (-left, right - size[0], -bottom, top - size[1]))
    covered = sum(weight for (a, b, c, d), weight in taken if left < b and a < right and bottom < d and c < top)
    return outside + covered
