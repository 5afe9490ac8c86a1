"""Pictures with what was found in them: a box and a label at each face, and bars for its probabilities beside them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from PIL import Image, ImageDraw, ImageFont

from ..data.crops import Box
from ..util.files import as_utf8
from .prediction import Prediction

_SIDE = (320, 2048)  #: pixels; smaller pictures are enlarged, larger ones made smaller
_BARS = 150  #: pixels for the bars beside a picture
_LINE, _LETTER, _LONGEST = 14, 7, 18  #: pixels of a line and of a letter, letters of a class's name
_ALL, _MOST_PROBABLE = 10, 8  #: up to so many classes have a bar each; of more, only the most probable ones
_LABEL = (11, 36)  #: pixels of the letters at a face, which grow with it
_BEST, _OTHER, _FRAME = "#D55E00", "#0072B2", "#ff2d55"

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def annotated(image: Image.Image, predictions: Sequence[Prediction], classes: Sequence[str]) -> Image.Image:
    """The picture with a box and a label at each face, and at its right a bar for each of its probabilities."""
    scale = min(max(1.0, _SIDE[0] / max(image.size)), _SIDE[1] / max(image.size))
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    faces = [p for p in predictions if p.probs is not None]
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in map(as_utf8, classes)]
    panel = _Panel(names, max(1.0, max(image.size) / 1000))
    down = max(1, image.height // panel.height)  # blocks below each other; further ones beside them
    across = ceil(len(faces) / down)
    sheet = Image.new("RGB", (image.width + across * panel.width, image.height), "white")
    if across == 1:
        sheet = Image.new("RGB", (sheet.width, max(image.height, panel.height * len(faces))), "white")
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for face in faces:
        _frame(draw, face, scale)
    _labels(draw, image.size, faces, names, scale)
    for i, face in enumerate(faces):
        panel.draw(draw, face, i + 1, (image.width + panel.width * (i // down), panel.height * (i % down)))
    return sheet


def _frame(draw: ImageDraw.ImageDraw, face: Prediction, scale: float) -> None:
    """Draws a face's box and points, in lines and dots that grow with it."""
    left, top, right, bottom = _scaled(face, scale)
    size = min(right - left, bottom - top)
    draw.rectangle((left, top, right, bottom), outline=_FRAME, width=max(1, round(size / 60)))
    if face.points is not None:
        r = max(0.5, size / 60)
        for x, y in face.points * scale:
            draw.ellipse((x - r, y - r, x + r, y + r), fill="#ffd60a", outline="black" if r >= 2 else None)


def _labels(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], faces: Sequence[Prediction], names: Sequence[str], scale: float
) -> None:
    """Writes a number and a class at each face, where it hides the least of others and of their labels."""
    boxes = [_scaled(face, scale) for face in faces]
    placed: list[Box] = []
    for i, (face, box) in enumerate(zip(faces, boxes, strict=True)):
        assert face.probs is not None
        best = int(face.probs.argmax())
        width = box[2] - box[0]
        font = _font(min(max(_LABEL[0], width / 7), _LABEL[1]))
        short = f"{i + 1} {names[best]}"
        text = f"{short} {face.probs[best]:.0%}"
        if draw.textlength(text, font) > 1.5 * width:
            text = short
        pad = max(2, round(width / 60))
        left, top, right, bottom = draw.textbbox((0, 0), text, font)
        wide, high = right - left + 2 * pad, bottom - top + 2 * pad
        spots = [_inside((x, y, x + wide, y + high), size) for x, y in _corners(box, wide, high)]
        others = boxes[:i] + boxes[i + 1 :]
        spot = min(spots, key=lambda s: 3 * sum(_shared(s, p) for p in placed) + sum(_shared(s, o) for o in others))
        placed.append(spot)
        draw.rectangle(spot, fill=_FRAME)
        draw.text((spot[0] + pad - left, spot[1] + pad - top), text, fill="white", font=font)


def _corners(box: Box, wide: float, high: float) -> list[tuple[float, float]]:
    """Where a label may begin: above and below a face, at either end, and in it."""
    left, top, right, bottom = box
    return [(x, y) for y in (top - high, bottom, top) for x in (left, right - wide)]


def _inside(spot: Box, size: tuple[int, int]) -> Box:
    """A spot, moved into the picture."""
    x = min(max(0.0, spot[0]), max(0.0, size[0] - (spot[2] - spot[0])))
    y = min(max(0.0, spot[1]), max(0.0, size[1] - (spot[3] - spot[1])))
    return (x, y, x + spot[2] - spot[0], y + spot[3] - spot[1])


def _shared(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _scaled(face: Prediction, scale: float) -> Box:
    assert face.box is not None
    left, top, right, bottom = face.box
    return (left * scale, top * scale, right * scale, bottom * scale)


class _Panel:
    """The bars of a face: of all classes in their order, or of the most probable ones.

    Args:
        names: of the classes.
        unit: how many times larger than in a picture of a thousand pixels.
    """

    def __init__(self, names: Sequence[str], unit: float) -> None:
        self._names, self._unit = names, unit
        self._shown = len(names) if len(names) <= _ALL else _MOST_PROBABLE
        self._text = max(79, _LETTER * (max(map(len, names)) + 4))
        self._font = _font(10 * unit)
        self.width, self.height = round(unit * (self._text + _BARS + 11)), round(unit * _LINE * (self._shown + 2))

    def draw(self, draw: ImageDraw.ImageDraw, face: Prediction, number: int, corner: tuple[int, int]) -> None:
        """Draws them, the block's upper left corner given."""
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
    return ImageFont.load_default(round(size))
