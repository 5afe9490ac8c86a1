"""The prediction for a face, and its row in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..data.crops import Box
from ..util.numbers import exact

#: The columns of a table of predictions besides the classes; a video's table begins with other ones.
_BOX = ("left", "top", "right", "bottom")
_POINTS = tuple(f"{axis}{i}" for i in range(1, 6) for axis in "xy")
_FRAME = ("frame", "time_s", "track", "label")

NO_FACE = "no face"  #: the ``problem`` of an image that could be read, but shows no face


@dataclass(frozen=True)
class Prediction:
    """A face in an image, or why there is none."""

    file: str
    box: Box | None = None  #: left, top, right, bottom, in pixels of the upright image
    points: npt.NDArray[Any] | None = None  #: ``(5, 2)`` in pixels; None if no detector was run
    probs: npt.NDArray[Any] | None = None  #: ``(K,)``
    problem: str = ""  #: "no face", or why the file can't be read
    track: int | None = None  #: the number of the face, in a video

    def row(self, classes: Sequence[str]) -> dict[str, object]:
        """A row of a table: file, label, box, points, probabilities, problem."""
        row: dict[str, object] = {"file": self.file, "label": "", "problem": self.problem}
        return row | self._said(classes, columns([]))

    def frame_row(self, classes: Sequence[str]) -> dict[str, object]:
        """A row of a video's table: track, label, box, points, probabilities."""
        return {"track": self.track} | self._said(classes, frame_columns([]))

    def _said(self, classes: Sequence[str], taken: Sequence[str]) -> dict[str, object]:
        if self.probs is None or self.box is None:
            return {}
        said: dict[str, object] = {"label": classes[int(self.probs.argmax())]}
        said |= dict(zip(_BOX, (round(b, 1) for b in self.box), strict=True))
        if self.points is not None:
            said |= dict(zip(_POINTS, (round(float(v), 1) for v in self.points.flat), strict=True))
        return said | {_column(name, taken): exact(p) for name, p in zip(classes, self.probs, strict=True)}


def columns(classes: Sequence[str]) -> list[str]:
    """The columns of a table of image predictions."""
    taken = ["file", "label", *_BOX, *_POINTS, "problem"]
    return [*taken[:2], *(_column(name, taken) for name in classes), *taken[2:]]


def frame_columns(classes: Sequence[str]) -> list[str]:
    """The columns of a table of video predictions."""
    taken = [*_FRAME, *_BOX, *_POINTS]
    return [*_FRAME, *(_column(name, taken) for name in classes), *_BOX, *_POINTS]


def _column(name: str, taken: Sequence[str]) -> str:
    """The column of a class's probabilities; a class named like another column, such as "left", gets a prefix."""
    return f"class {name}" if name in taken else name
