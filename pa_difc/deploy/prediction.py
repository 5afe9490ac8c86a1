"""What a model says of a face in a file, and as a row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..data.crops import Box

#: The columns of a table of predictions beside those of the classes.
_BOX = ("left", "top", "right", "bottom")
_POINTS = tuple(f"{axis}{i}" for i in range(1, 6) for axis in "xy")

NO_FACE = "no face"  #: the problem of an image that was read, and in which none was found


@dataclass(frozen=True)
class Prediction:
    """A face in a file, or why there is none."""

    file: str
    box: Box | None = None  #: left, top, right, bottom, in pixels of the upright image
    points: npt.NDArray[Any] | None = None  #: ``(5, 2)``; None where nobody looked for them
    probs: npt.NDArray[Any] | None = None  #: ``(K,)``
    problem: str = ""  #: "no face", or why the file can't be read

    def row(self, classes: Sequence[str]) -> dict[str, object]:
        """A row of a table: file, label, box, points, probabilities, problem."""
        row: dict[str, object] = {"file": self.file, "label": "", "problem": self.problem}
        if self.probs is not None and self.box is not None:
            row["label"] = classes[int(self.probs.argmax())]
            row |= dict(zip(_BOX, (round(b, 1) for b in self.box), strict=True))
            if self.points is not None:
                row |= dict(zip(_POINTS, (round(float(v), 1) for v in self.points.flat), strict=True))
            row |= {_column(name): round(float(p), 4) for name, p in zip(classes, self.probs, strict=True)}
        return row


def columns(classes: Sequence[str]) -> list[str]:
    """The columns of a table of predictions."""
    return ["file", "label", *map(_column, classes), *_BOX, *_POINTS, "problem"]


def _column(name: str) -> str:
    """The column of a class's probabilities; a class that is called "left" must not take the box's place."""
    return f"class {name}" if name in ("file", "label", *_BOX, *_POINTS, "problem") else name
