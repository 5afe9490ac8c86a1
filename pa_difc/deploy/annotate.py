"""Annotated pictures: a box and a label at each face, and bars of its probabilities beside the picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..data.crops import Box, Picture
from ..util.names import as_utf8
from .prediction import Prediction

_SIDE = (320, 2048)  #: limits of the longer side in pixels; pictures outside them are resized
_BARS = 150  #: pixels for the bars beside a picture
_LINE, _LETTER, _LONGEST = 14, 7, 18  #: pixels of a line and of a letter; most letters of a class's name
_ALL, _MOST_PROBABLE = 10, 8  #: up to this many classes are all shown; of more, only the most probable ones
_LABEL, _PAD = (11, 36), 3  #: font sizes of the label at a face, which grows with the face, and its padding, in pixels
_ROOM = 640  #: pixels that the bars beside a small picture may take
_BEST, _OTHER, _FRAME = "#D55E00", "#0072B2", "#ff2d55"

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Boxes = NDArray[np.float64]


def annotated(image: Image.Image | Picture, predictions: Sequence[Prediction], classes: Sequence[str]) -> Image.Image:
    """The picture with a box and a label at each face, and to its right a bar for each class probability.

    Args:
        image: the whole photograph, possibly scaled down.
        predictions: its faces, in pixels of the original photograph.
        classes: the model's class names.
    """
    factor, image = (image.factor, image.image) if isinstance(image, Picture) else (1, image)
    scale = min(max(1.0, _SIDE[0] / max(image.size)), _SIDE[1] / max(image.size))
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    scale /= factor
    faces = [p for p in predictions if p.probs is not None]
    names = _short(classes)
    panel, down = _panel(names, len(faces), image.size)
    across = ceil(len(faces) / down) if panel else 0
    width, height = (across * panel.width, min(down, len(faces)) * panel.height) if panel else (0, 0)
    sheet = Image.new("RGB", (image.width + width, max(image.height, height)), "white")
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    _mark(draw, image.size, faces, names, scale)
    for i, face in enumerate(faces):
        if panel:
            panel.draw(draw, face, i + 1, (image.width + panel.width * (i // down), panel.height * (i % down)))
    return sheet


def marked(image: Image.Image, predictions: Sequence[Prediction], classes: Sequence[str]) -> Image.Image:
    """A copy of a picture with a box and a label at each face, of the same size as the picture, as a video needs it.

    Args:
        image: RGB.
        predictions: its faces, in its pixels.
        classes: the model's class names.
    """
    image = image.copy()
    faces = [p for p in predictions if p.probs is not None]
    _mark(ImageDraw.Draw(image), image.size, faces, _short(classes), 1.0)
    return image


def _short(classes: Sequence[str]) -> list[str]:
    """The class names, long ones cut, as they are drawn."""
    return [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in map(as_utf8, classes)]


def _mark(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], faces: Sequence[Prediction], names: Sequence[str], scale: float
) -> None:
    """Draws a box and a label at each face."""
    for face in faces:
        _frame(draw, face, scale, max(size) / 1000)
    _labels(draw, size, faces, names, scale)


def _panel(names: Sequence[str], faces: int, size: tuple[int, int]) -> tuple[_Panel | None, int]:
    """The largest panel of bars that fits beside a picture, and how many faces' panels are stacked in a column.

    The panels may take as much space as the picture itself. A crowd's would take more, so its faces only get labels.
    """
    wide, high = max(size[0], _ROOM), max(size[1], _ROOM)
    unit = max(1.0, max(size) / 1000)
    for panel in (_Panel(names, u) for u in (unit, (1 + unit) / 2, 1.0)):
        down, across = max(1, high // panel.height), max(1, wide // panel.width)
        if faces <= down * across:
            return panel, down
    return None, 1


def _frame(draw: ImageDraw.ImageDraw, face: Prediction, scale: float, finest: float) -> None:
    """Draws a face's box and points; lines and dots scale with the face."""
    left, top, right, bottom = _scaled(face, scale)
    size = min(right - left, bottom - top)
    draw.rectangle((left, top, right, bottom), outline=_FRAME, width=max(1, round(max(size / 60, finest))))
    if face.points is not None:
        r = max(0.5, size / 60)
        for x, y in face.points * scale:
            draw.ellipse((x - r, y - r, x + r, y + r), fill="#ffd60a", outline="black" if r >= 2 else None)


def _labels(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], faces: Sequence[Prediction], names: Sequence[str], scale: float
) -> None:
    """Writes a number (in a video, the face's track) and a class at each face, where they hide little of the others."""
    boxes = [_scaled(face, scale) for face in faces]
    all_boxes, placed = np.array(boxes).reshape(-1, 4), np.empty((len(faces), 4))
    for i, (face, box) in enumerate(zip(faces, boxes, strict=True)):
        assert face.probs is not None
        best, width = int(face.probs.argmax()), box[2] - box[0]
        large = min(max(_LABEL[0], width / 7, max(size) / 100), _LABEL[1])
        words = f"{i + 1 if face.track is None else face.track} {names[best]}"
        others, tried = np.delete(all_boxes, i, axis=0), []
        sizes = (large, (large + _LABEL[0]) / 2, _LABEL[0])
        for text, letters in [(text, n) for n in sizes for text in (f"{words} {face.probs[best]:.0%}", words)]:
            spot, hidden = _spot(draw.textbbox((0, 0), text, _font(letters)), box, size, placed[:i], others)
            tried.append((hidden, text, _font(letters), spot))
            if not hidden:
                break
        _, text, font, spot = min(tried, key=lambda t: t[0])  # of equally good ones the first, which is the largest
        placed[i] = spot
        draw.rectangle(spot, fill=_FRAME)
        left, top, *_ = draw.textbbox((0, 0), text, font)
        draw.text((spot[0] + _PAD - left, spot[1] + _PAD - top), text, fill="white", font=font)


def _spot(text: Box, box: Box, size: tuple[int, int], labels: _Boxes, faces: _Boxes) -> tuple[Box, float]:
    """The best place for a text at a face, and how many pixels of other labels and faces it hides there."""
    wide, high = text[2] - text[0] + 2 * _PAD, text[3] - text[1] + 2 * _PAD
    spots = [_inside((x, y, x + wide, y + high), size) for x, y in _corners(box, wide, high)]
    hidden = [3 * _shared(s, labels) + _shared(s, faces) for s in spots]
    best = min(range(len(spots)), key=hidden.__getitem__)
    return spots[best], hidden[best]


def _corners(box: Box, wide: float, high: float) -> list[tuple[float, float]]:
    """Candidate corners of a label: above, below and inside the face's box, at its left and right end."""
    left, top, right, bottom = box
    return [(x, y) for y in (top - high, bottom, top) for x in (left, right - wide)]


def _inside(spot: Box, size: tuple[int, int]) -> Box:
    """A spot, moved into the picture."""
    x = min(max(0.0, spot[0]), max(0.0, size[0] - (spot[2] - spot[0])))
    y = min(max(0.0, spot[1]), max(0.0, size[1] - (spot[3] - spot[1])))
    return (x, y, x + spot[2] - spot[0], y + spot[3] - spot[1])


def _shared(a: Box, others: _Boxes) -> float:
    """The area that a box shares with others, ``(N, 4)``, in all."""
    wide, high = (np.minimum(a[k + 2], others[:, k + 2]) - np.maximum(a[k], others[:, k]) for k in (0, 1))
    return float(wide.clip(0) @ high.clip(0))


def _scaled(face: Prediction, scale: float) -> Box:
    assert face.box is not None
    left, top, right, bottom = face.box
    return (left * scale, top * scale, right * scale, bottom * scale)


class _Panel:
    """The bars of a face: of all classes in order, or of the most probable ones.

    Args:
        names: of the classes.
        unit: scale, relative to a picture of 1000 pixels.
    """

    def __init__(self, names: Sequence[str], unit: float) -> None:
        self._names, self._unit = names, unit
        self._shown = len(names) if len(names) <= _ALL else _MOST_PROBABLE
        self._text = max(79, _LETTER * (max(map(len, names)) + 4))
        self._font = _font(10 * unit)
        self.width, self.height = round(unit * (self._text + _BARS + 11)), round(unit * _LINE * (self._shown + 2))

    def draw(self, draw: ImageDraw.ImageDraw, face: Prediction, number: int, corner: tuple[int, int]) -> None:
        """Draws the bars of a face, with the upper left corner at ``corner``."""
        assert face.probs is not None
        best, order = int(face.probs.argmax()), list(range(len(self._names)))
        if self._shown < len(self._names):
            order = (-face.probs).argsort(kind="stable").tolist()[: self._shown]
        unit, x, y = self._unit, corner[0] + 6 * self._unit, float(corner[1])
        draw.text((x, y), f"face {number}: {self._names[best]}", fill="black", font=self._font)
        for k in order:
            y += _LINE * unit
            p = float(face.probs[k])
            draw.text((x, y), f"{self._names[k]} {p:.0%}", fill="black", font=self._font)
            start = x + self._text * unit
            bar = (start, y + 2 * unit, start + max(1, round(_BARS * p * unit)), y + 11 * unit)
            draw.rectangle(bar, fill=_BEST if k == best else _OTHER)


def _font(size: float) -> _Font:
    return _font_of(round(size))


@cache  # Pillow decodes its font anew at each call
def _font_of(size: int) -> _Font:
    return ImageFont.load_default(size)
