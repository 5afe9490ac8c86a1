"""The Python results of a prediction: an image as a list of its faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from ..util.names import as_utf8
from .prediction import Prediction, columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd  # type: ignore[import-untyped]

    from ..data.crops import Box

_SHOWN, _BARS = 20, 10  #: most images in a notebook's table, and most bars of a face


class Face:
    """A face with its predicted class probabilities.

    Attributes:
        source: the file, or "image" and its number if it came without one.
        label: the most probable class.
        confidence: its probability.
        probs: the probability of each class by its name, in the model's order.
        probs_array: the same, ``(K,)`` float32.
        box: left, top, right, bottom, in pixels of the upright image; may reach beyond it.
        points: ``(5, 2)`` left eye, right eye, nose, left and right mouth corner as seen, (x, y) in pixels; None if no
            detector was run.
        track: in a video, the number that the face keeps from frame to frame; None in an image.
    """

    def __init__(self, prediction: Prediction, classes: Sequence[str]) -> None:
        assert prediction.probs is not None and prediction.box is not None
        self.source = prediction.file
        self.probs_array: np.ndarray = prediction.probs
        self.probs = {name: float(p) for name, p in zip(classes, prediction.probs, strict=True)}
        best = int(prediction.probs.argmax())
        self.label, self.confidence = classes[best], float(prediction.probs[best])
        self.box: Box = prediction.box
        self.points: np.ndarray | None = prediction.points
        self.track = prediction.track

    def as_dict(self) -> dict[str, Any]:
        """All attributes as plain numbers, strings and lists, ready for JSON."""
        track = {} if self.track is None else {"track": self.track}
        return {
            "source": self.source,
            **track,
            "label": self.label,
            "confidence": self.confidence,
            "probs": dict(self.probs),
            "box": list(self.box),
            "points": None if self.points is None else self.points.tolist(),
        }

    def __repr__(self) -> str:
        box = ", ".join(f"{side:.0f}" for side in self.box)
        return f"Face({_said(self)}, box=({box}), source={self.source!r})"

    def _repr_html_(self) -> str:
        return _table([(self.source, self)])


class Faces(list[Face]):
    """The faces of an image from left to right, by the left edges of their boxes.

    Their numbers, from 1, in annotated pictures and on the page of ``pa-difc serve`` follow this order.

    Attributes:
        source: the file, or "image" and its number.
        problem: why the list is empty: "no face", or what is wrong with the file; "" if there is a face.
        classes: the model's class names.
        predictions: the same as rows of a table, including the one that says why there is no face.
    """

    def __init__(self, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
        super().__init__(Face(p, classes) for p in predictions if p.probs is not None)
        self.predictions = list(predictions)
        self.source, self.problem, self.classes = predictions[0].file, predictions[0].problem, tuple(classes)

    def rows(self) -> list[dict[str, object]]:
        """The rows that ``pa-difc predict`` writes: one per face, or one that says why there is none."""
        return [prediction.row(self.classes) for prediction in self.predictions]

    def to_dataframe(self) -> pd.DataFrame:
        """The table of ``pa-difc predict`` as a pandas DataFrame.

        Raises:
            UserError: pandas is not installed.
        """
        return to_dataframe([self])

    def __repr__(self) -> str:
        said = ", ".join(map(_said, self)) or self.problem
        return f"<{self.source}: {said}>"

    def _repr_html_(self) -> str:
        return _table(_lines([self]))


class Results(list[Faces]):
    """The faces of several images, in their order."""

    def to_dataframe(self) -> pd.DataFrame:
        """The table of ``pa-difc predict`` as a pandas DataFrame: a row per face, and one per image without any.

        Raises:
            UserError: pandas is not installed.
        """
        return to_dataframe(self)

    def _repr_html_(self) -> str:
        more = f"<p>and {len(self) - _SHOWN} more images</p>" if len(self) > _SHOWN else ""
        return _table(_lines(self[:_SHOWN])) + more


def to_dataframe(results: Iterable[Faces]) -> pd.DataFrame:
    """The results of images as a pandas DataFrame; consumes an iterator.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UserError("to_dataframe() needs pandas: pip install pandas") from None
    results = list(results)
    names = columns(results[0].classes) if results else columns([])
    return pd.DataFrame(list(chain.from_iterable(faces.rows() for faces in results)), columns=names)


def _said(face: Face) -> str:
    return f"{face.label} {face.confidence:.0%}"


def _lines(results: Iterable[Faces]) -> Iterator[tuple[str, Face | str]]:
    for faces in results:
        for face in faces:
            yield faces.source, face
        if not faces:
            yield faces.source, faces.problem


def _table(lines: Iterable[tuple[str, Face | str]]) -> str:
    """HTML for notebooks: a row per face, its probabilities as bars."""
    rows = [("image", "face", "probabilities")]
    for source, face in lines:
        if isinstance(face, Face):
            label = f"<b>{escape(as_utf8(face.label))}</b> {face.confidence:.0%}"
            rows.append((escape(as_utf8(source)), label, _bars(face)))
        else:
            rows.append((escape(as_utf8(source)), escape(as_utf8(face)), ""))
    html = (f'<td style="text-align:left">{"</td><td>".join(cells)}</td>' for cells in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in html)}</table>"


def _bars(face: Face) -> str:
    """A bar for each class, or for the most probable ones if there are many."""
    shown = list(face.probs.items())
    if len(shown) > _BARS:
        shown = sorted(shown, key=lambda item: -item[1])[:_BARS]
    return "".join(_bar(name, p, name == face.label) for name, p in shown)


def _bar(name: str, p: float, best: bool) -> str:
    colour = "#D55E00" if best else "#0072B2"
    bar = f'<span style="display:inline-block;width:{p:.1%};height:.6em;background:{colour}"></span>'
    bar = f'<span style="display:inline-block;width:100px">{bar}</span>'
    return f'<div style="white-space:nowrap;text-align:left">{bar} {escape(as_utf8(name))} {p:.0%}</div>'
