"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..data.decode import BrokenImageError, read_image
from ..data.protocol import SEARCH_PX
from .annotate import annotated
from .faces import Cut
from .images import save_picture
from .prediction import Prediction

if TYPE_CHECKING:
    from .faces import Shown
    from .model import FaceModel

#: So many images, or images of so many pixels, are opened at a time.
_BATCH, _PIXELS = 16, 4_000_000
_FACES = 16  #: faces that the model is shown at a time


def predict_images(
    model: FaceModel,
    paths: Sequence[Path],
    *,
    device: str = "cpu",
    annotate: Sequence[Path] | None = None,
    crop: str = "model",
    detect_px: int = SEARCH_PX,
) -> Iterator[list[Prediction]]:
    """Every face of every image, a list for each file in turn; never empty.

    Args:
        model: in eval mode.
        paths: image files.
        device: where faces are found and classified.
        annotate: for each image, the file for a picture with boxes, labels and bars; see :func:`.picture_files`.
        crop: how faces are cut out; see :class:`.Cut`.
        detect_px: the longer side of images when faces are looked for; see :class:`.FaceSearch`.
    """
    from .search import FaceSearch

    search, cut = FaceSearch(device, detect_px), Cut(model, crop)
    model = model.to(device)
    for batch in _batches(paths):
        images = [image for _, image in batch if isinstance(image, Image.Image)]
        found = iter(search.detect(images) if cut.searches else [[] for _ in images])
        images.clear()
        while batch:  # an image is let go before the next ones are opened
            index, image = batch.pop(0)
            if isinstance(image, str):
                yield [Prediction(str(paths[index]), problem=image)]
                continue
            predictions = _classify(model, paths[index], cut.faces(image, next(found)), device)
            if annotate is not None:
                save_picture(annotated(image, predictions, model.classes), annotate[index])
            del image
            yield predictions


def _batches(paths: Sequence[Path]) -> Iterator[list[tuple[int, Image.Image | str]]]:
    """Images and their places in order, or why one can't be read; few at a time of large ones."""
    batch: list[tuple[int, Image.Image | str]] = []
    pixels = 0
    for index, path in enumerate(paths):
        image = _open(path)
        batch.append((index, image))
        pixels += 0 if isinstance(image, str) else image.width * image.height
        del image
        if len(batch) == _BATCH or pixels >= _PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _open(path: Path) -> Image.Image | str:
    try:
        return read_image(path)
    except BrokenImageError as error:
        return str(error)


def _classify(model: FaceModel, path: Path, faces: Sequence[Shown], device: str) -> list[Prediction]:
    import torch

    if not faces:
        return [Prediction(str(path), problem="no face")]
    predictions = []
    for start in range(0, len(faces), _FACES):
        some = faces[start : start + _FACES]
        pixels = torch.from_numpy(np.stack([face.crop.image for face in some])).to(device).float().div_(255)
        points = torch.from_numpy(np.stack([face.crop.landmarks for face in some])).to(device)
        with torch.no_grad():
            probs = model(pixels, points).cpu().numpy()
        predictions += [Prediction(str(path), f.box, f.points, p) for f, p in zip(some, probs, strict=True)]
    return predictions
