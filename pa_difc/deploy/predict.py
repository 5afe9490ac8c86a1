"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..data.crops import Box, cut_face
from ..data.decode import BrokenImageError, read_image
from ..data.readers.listing import IMAGE_SUFFIXES
from ..util.errors import UserError
from .annotate import annotated

if TYPE_CHECKING:
    from ..data.detect import Detection
    from .model import FaceModel

_BATCH = 16  #: images at a time
#: The columns of a table of predictions beside those of the classes.
_BOX = ("left", "top", "right", "bottom")
_POINTS = tuple(f"{axis}{i}" for i in range(1, 6) for axis in "xy")


@dataclass(frozen=True)
class Prediction:
    """A face in a file, or why there is none."""

    file: str
    box: Box | None = None  #: left, top, right, bottom, in pixels of the upright image
    points: npt.NDArray[Any] | None = None  #: ``(5, 2)``
    probs: npt.NDArray[Any] | None = None  #: ``(K,)``
    problem: str = ""  #: "no face", or why the file can't be read

    def row(self, classes: Sequence[str]) -> dict[str, object]:
        """A row of a table: file, label, box, points, probabilities, problem."""
        row: dict[str, object] = {"file": self.file, "label": "", "problem": self.problem}
        if self.probs is not None and self.box is not None and self.points is not None:
            row["label"] = classes[int(self.probs.argmax())]
            row |= dict(zip(_BOX, (round(b, 1) for b in self.box), strict=True))
            row |= dict(zip(_POINTS, (round(float(v), 1) for v in self.points.flat), strict=True))
            row |= {_column(name): round(float(p), 4) for name, p in zip(classes, self.probs, strict=True)}
        return row


def columns(classes: Sequence[str]) -> list[str]:
    """The columns of a table of predictions."""
    return ["file", "label", *map(_column, classes), *_BOX, *_POINTS, "problem"]


def _column(name: str) -> str:
    """The column of a class's probabilities; a class that is called "left" must not take the box's place."""
    return f"class {name}" if name in ("file", "label", *_BOX, *_POINTS, "problem") else name


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
    from ..data.detect import FaceDetector

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
                annotated(image, predictions, model.classes).save(annotate / f"{path.stem}.png")
            yield predictions


def _open(path: Path) -> Image.Image | str:
    try:
        return read_image(path)
    except BrokenImageError as error:
        return str(error)


def _classify(
    model: FaceModel, path: Path, image: Image.Image, faces: Sequence[Detection], device: str
) -> list[Prediction]:
    import torch

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
    with torch.no_grad():
        probs = model(pixels, points).cpu().numpy()
    return [Prediction(str(path), face.box, face.points, p) for face, p in zip(kept, probs, strict=True)]
