"""Pictures with what was found in them: boxes, points, and bars for the probabilities of each face."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from .prediction import Prediction

_BARS = 150  #: pixels for the bars beside a picture
_LINE, _LETTER, _LONGEST = 14, 7, 18  #: pixels of a line and of a letter, letters of a class's name
_ALL, _MOST_PROBABLE = 10, 8  #: up to so many classes have a bar each; of more, only the most probable ones


def annotated(image: Image.Image, predictions: Sequence[Prediction], classes: Sequence[str]) -> Image.Image:
    """The picture with boxes and points, and at its right a bar for the probabilities of each face."""
    scale = max(1.0, 320 / max(image.size))
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    faces = [p for p in predictions if p.probs is not None]
    number = len(classes) if len(classes) <= _ALL else _MOST_PROBABLE
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in classes]
    text = max(79, _LETTER * (max(map(len, names)) + 4))
    block = _LINE * (number + 2)
    size = (image.width + (text + _BARS + 11 if faces else 0), max(image.height, block * len(faces)))
    sheet = Image.new("RGB", size, "white")
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for i, face in enumerate(faces):
        _mark(draw, face, i + 1, scale, max(2, round(max(image.size) / 250)))
        _bars(draw, face, i + 1, names, number, (image.width + 6, block * i), text)
    return sheet


def _mark(draw: ImageDraw.ImageDraw, face: Prediction, number: int, scale: float, width: int) -> None:
    """Draws a face's box, number and points."""
    if face.box is None or face.points is None:
        return
    left, top, right, bottom = (b * scale for b in face.box)
    draw.rectangle((left, top, right, bottom), outline="#ff2d55", width=width)
    draw.text((left + 4, top + 2), str(number), fill="#ff2d55")
    for x, y in face.points * scale:
        draw.ellipse((x - width, y - width, x + width, y + width), fill="#ffd60a", outline="black")


def _bars(
    draw: ImageDraw.ImageDraw,
    face: Prediction,
    number: int,
    names: Sequence[str],
    shown: int,
    corner: tuple[int, int],
    text: int,
) -> None:
    """Draws a face's probabilities below each other: of all classes in their order, or of the most probable ones."""
    if face.probs is None:
        return
    best, order = int(face.probs.argmax()), list(range(len(names)))
    if shown < len(names):
        order = (-face.probs).argsort(kind="stable").tolist()[:shown]
    x, y = corner
    draw.text((x, y), f"face {number}: {names[best]}", fill="black")
    for k in order:
        y += _LINE
        p = float(face.probs[k])
        draw.text((x, y), f"{names[k]} {p:.0%}", fill="black")
        bar = (x + text, y + 2, x + text + max(1, round(_BARS * p)), y + 11)
        draw.rectangle(bar, fill="#D55E00" if k == best else "#0072B2")
