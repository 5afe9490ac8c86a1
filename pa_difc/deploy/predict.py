"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..data.photograph import BrokenImageError, Photograph
from ..data.protocol import SEARCH_PX
from .annotate import annotated
from .faces import Cut
from .images import save_picture
from .prediction import NO_FACE, Prediction
from .search import FaceSearch

if TYPE_CHECKING:
    from ..data.crops import Picture
    from ..data.detect import Detection
    from .model import FaceModel

_BATCH = 16  #: images at a time, at most
_HELD_BYTES = 32 << 20  #: of images in memory at a time; with more than this, no further one is opened
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
    search, cut = FaceSearch(device, detect_px, model.size_px), Cut(model, crop)
    model = model.to(device)
    for batch in _batches(paths, search if cut.searches or annotate is not None else None):
        pictures = [opened.picture for opened in batch if opened.picture is not None]
        found = iter(search.detect(pictures) if cut.searches else [[]] * len(pictures))
        pictures.clear()
        while batch:  # an image is let go before the next ones are opened
            image = batch.pop(0)
            faces = next(found) if image.picture is not None else []
            predictions = _classify(model, cut, image, faces, device)
            if annotate is not None and image.picture is not None and image.photograph is not None:
                image.photograph = None  # drawing takes the picture alone, and as much memory again
                save_picture(annotated(image.picture, predictions, model.classes), annotate[image.index])
            del image
            yield predictions


@dataclass
class _Opened:
    """An image in memory, and a picture of it to look for faces in and to draw on; or why it can't be read."""

    index: int
    path: Path
    photograph: Photograph | None = None
    picture: Picture | None = None
    problem: str = ""

    @classmethod
    def of(cls, index: int, path: Path, search: FaceSearch | None) -> _Opened:
        try:
            photograph = Photograph(path)
            return cls(index, path, photograph, search.picture(photograph) if search else None)
        except BrokenImageError as error:
            return cls(index, path, problem=str(error))

    @property
    def held(self) -> int:
        """Bytes in memory, about."""
        picture = 4 * self.picture.image.width * self.picture.image.height if self.picture else 0
        return picture + (self.photograph.held if self.photograph else 0)


def _batches(paths: Sequence[Path], search: FaceSearch | None) -> Iterator[list[_Opened]]:
    """Images in order, few at a time of large ones."""
    batch: list[_Opened] = []
    for index, path in enumerate(paths):
        batch.append(_Opened.of(index, path, search))
        if len(batch) == _BATCH or sum(opened.held for opened in batch) > _HELD_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _classify(model: FaceModel, cut: Cut, image: _Opened, found: Sequence[Detection], device: str) -> list[Prediction]:
    if image.photograph is None:
        return [Prediction(str(image.path), problem=image.problem)]
    try:
        faces = cut.faces(image.photograph, found)
    except BrokenImageError as error:
        image.photograph = None
        return [Prediction(str(image.path), problem=str(error))]
    if not faces:
        return [Prediction(str(image.path), problem=NO_FACE)]
    predictions = []
    for start in range(0, len(faces), _FACES):
        some = faces[start : start + _FACES]
        pixels = torch.from_numpy(np.stack([face.crop.image for face in some])).to(device).float().div_(255)
        points = torch.from_numpy(np.stack([face.crop.landmarks for face in some])).to(device)
        with torch.no_grad():
            probs = model(pixels, points).cpu().numpy()
        predictions += [Prediction(str(image.path), f.box, f.points, p) for f, p in zip(some, probs, strict=True)]
    return predictions
