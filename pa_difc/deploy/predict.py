"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..data.crops import cut_face
from ..data.decode import BrokenImageError, read_image
from ..data.readers.listing import IMAGE_SUFFIXES
from ..util.errors import UserError
from .annotate import annotated
from .prediction import Prediction

if TYPE_CHECKING:
    from ..data.detect import Detection
    from .model import FaceModel

_BATCH = 16  #: images at a time


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
