"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..data.crops import Box, cut_face
from ..data.decode import BrokenImageError, read_image
from ..data.detect import FaceDetector
from ..data.readers.listing import IMAGE_SUFFIXES
from ..util.errors import UserError
from .model import FaceModel

_BATCH = 16  #: images at a time
_BARS = 150  #: pixels for the bars beside an annotated picture


@dataclass(frozen=True)
class Prediction:
    """A face in a file, or why there is none."""

    file: str
    box: Box | None = None  #: left, top, right, bottom, in pixels of the upright image
    points: np.ndarray | None = None  #: ``(5, 2)``
    probs: np.ndarray | None = None  #: ``(K,)``
    problem: str = ""  #: "no face", or why the file can't be read

    def row(self, classes: Sequence[str]) -> dict[str, object]:
        """A row of a table: file, label, box, points, probabilities, problem."""
        row: dict[str, object] = {"file": self.file, "label": "", "problem": self.problem}
        if self.probs is not None and self.box is not None and self.points is not None:
            row["label"] = classes[int(self.probs.argmax())]
            row |= dict(zip(("left", "top", "right", "bottom"), (round(b, 1) for b in self.box), strict=True))
            for i, (x, y) in enumerate(self.points, 1):
                row |= {f"x{i}": round(float(x), 1), f"y{i}": round(float(y), 1)}
            row |= {name: round(float(p), 4) for name, p in zip(classes, self.probs, strict=True)}
        return row


def columns(classes: Sequence[str]) -> list[str]:
    """The columns of a table of predictions."""
    points = [f"{axis}{i}" for i in range(1, 6) for axis in "xy"]
    return ["file", "label", *classes, "left", "top", "right", "bottom", *points, "problem"]


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given, and all images below folders.

    Raises:
        UserError: a path does not exist, or there is no image.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"{path}: no such file or folder")
    if not found:
        raise UserError(f"{', '.join(map(str, paths))}: no images")
    return found


def predict_images(
    model: FaceModel, paths: Sequence[Path], *, device: str = "cpu", annotate: Path | None = None
) -> Iterator[list[Prediction]]:
    """Every face of every image, a list for each file in turn; never empty.

    Args:
        model: in eval mode.
        paths: image files.
        device: where faces are found and classified.
        annotate: a folder for pictures with boxes, points and bars.
    """
    detector = FaceDetector(device)
    model = model.to(device)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        images = [_open(path) for path in batch]
        good = [image for image in images if isinstance(image, Image.Image)]
        found = iter(detector.detect(good, [max(image.size) <= 128 for image in good]))
        for path, image in zip(batch, images, strict=True):
            if isinstance(image, str):
                yield [Prediction(str(path), problem=image)]
                continue
            faces = next(found)
            predictions = _classify(model, path, image, faces, device)
            if annotate is not None:
                _annotated(image, predictions, model.settings["classes"]).save(annotate / f"{path.stem}.png")
            yield predictions


def _open(path: Path) -> Image.Image | str:
    try:
        return read_image(path)
    except BrokenImageError as error:
        return str(error)


@torch.no_grad()
def _classify(model: FaceModel, path: Path, image: Image.Image, faces: list, device: str) -> list[Prediction]:
    crops, kept = [], []
    for face in faces:
        try:
            crops.append(cut_face(image, face.box, face.points, model.settings["input"]["crop"], model.size_px))
            kept.append(face)
        except ValueError:
            continue  # a box that only touches the image
    if not crops:
        return [Prediction(str(path), problem="no face")]
    pixels = torch.from_numpy(np.stack([c.image for c in crops])).to(device).float().div_(255)
    points = torch.from_numpy(np.stack([c.landmarks for c in crops])).to(device)
    probs = model(pixels, points).cpu().numpy()
    return [Prediction(str(path), face.box, face.points, p) for face, p in zip(kept, probs, strict=True)]


def _annotated(image: Image.Image, predictions: Sequence[Prediction], classes: Sequence[str]) -> Image.Image:
    """The picture with boxes and points, and at its right a bar for each probability of each face."""
    scale = max(1.0, 320 / max(image.size))
    image = image.resize([round(s * scale) for s in image.size])
    faces = [p for p in predictions if p.probs is not None]
    height = max(image.height, 14 * (len(classes) + 2) * len(faces))
    sheet = Image.new("RGB", (image.width + (_BARS + 90 if faces else 0), height), "white")
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    width = max(2, round(max(image.size) / 250))
    for number, face in enumerate(faces):
        draw.rectangle([b * scale for b in face.box], outline="#ff2d55", width=width)
        draw.text((face.box[0] * scale + 4, face.box[1] * scale + 2), str(number + 1), fill="#ff2d55")
        for x, y in face.points * scale:
            draw.ellipse((x - width, y - width, x + width, y + width), fill="#ffd60a", outline="black")
        top = 14 * (len(classes) + 2) * number
        draw.text((image.width + 6, top), f"face {number + 1}: {classes[int(face.probs.argmax())]}", fill="black")
        for k, (name, p) in enumerate(zip(classes, face.probs, strict=True)):
            y = top + 14 * (k + 1)
            draw.text((image.width + 6, y), f"{name} {p:.0%}", fill="black")
            bar = (image.width + 85, y + 2, image.width + 85 + max(1, round(_BARS * float(p))), y + 11)
            draw.rectangle(bar, fill="#D55E00" if k == int(face.probs.argmax()) else "#0072B2")
    return sheet
