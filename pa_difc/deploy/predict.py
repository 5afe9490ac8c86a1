"""From photographs to predictions: detects the faces, crops them as in training, and classifies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..data.photograph import BrokenImageError, Photograph
from ..data.protocol import SEARCH_PX
from .annotate import annotated
from .faces import Cut, Shown
from .found import Faces
from .given import Given
from .images import save_picture
from .prediction import NO_FACE, Prediction
from .search import FaceSearch

if TYPE_CHECKING:
    from ..data.crops import Picture
    from .model import FaceModel

AT_ONCE = 16  #: images that are searched for faces together, unless they are large
_HELD_BYTES = 32 << 20  #: once the open images take more memory than this, no further one joins the batch
_FACES = 16  #: most faces per forward pass, unless the batch size is larger

Ask = Callable[[Tensor, Tensor], Tensor]  #: from faces ``(N, 3, P, P)`` and points ``(N, 5, 2)`` to rows ``(N, …)``


def predict_images(
    model: FaceModel,
    images: Iterable[Path | Given],
    *,
    device: str = "cpu",
    annotate: Sequence[Path] | None = None,
    crop: str = "model",
    detect_px: int = SEARCH_PX,
    search: FaceSearch | None = None,
    batch_size: int = 1,
    at_once: int = AT_ONCE,
) -> Iterator[Faces]:
    """Predicts every face of every image, and yields the faces image by image.

    Args:
        model: in eval mode.
        images: files, or images in memory as :class:`.Given`.
        device: where faces are detected and classified.
        annotate: for each image, the file for a picture with boxes, labels and bars; see :func:`.picture_files`.
        crop: how faces are cropped; see :class:`.Cut`.
        detect_px: longer side to which larger images are reduced for detection; see :class:`.FaceSearch`.
        search: the detector to use; None makes one.
        batch_size: number of images whose faces are classified together.
        at_once: number of images that are searched for faces together; large images are searched in smaller groups.
    """
    search, cut = search or FaceSearch(device, detect_px, model.crop_px), Cut(model, crop)
    model = model.to(device)
    looks = look(images, search, cut, max(at_once, batch_size), draws=annotate is not None)
    for number, (image, probs) in enumerate(asked(model, looks, device, 1 if annotate else batch_size)):
        predictions = [Prediction(image.source, f.box, f.points, p) for f, p in zip(image.faces, probs, strict=True)]
        faces = Faces(predictions or [Prediction(image.source, problem=image.problem)], model.classes)
        if annotate is not None and image.picture is not None:
            picture = annotated(image.picture, faces.predictions, model.classes)
            save_picture(picture, annotate[number], image.source)
        del image
        yield faces


@dataclass
class Looked:
    """An image's crops from left to right, or why there are none."""

    source: str
    faces: list[Shown] = field(default_factory=list)
    problem: str = ""  #: why there is no face
    picture: Picture | None = None  #: to draw on


def look(
    images: Iterable[Path | Given], search: FaceSearch, cut: Cut, at_once: int = AT_ONCE, *, draws: bool = False
) -> Iterator[Looked]:
    """Detects and crops the faces of every image.

    Args:
        images: files, or images in memory as :class:`.Given`.
        search: the detector.
        cut: crops the faces.
        at_once: number of images that are searched together; large images are searched in smaller groups.
        draws: keep a picture of each image that can be read.
    """
    for batch in _batches(images, search if cut.searches or draws else None, at_once):
        pictures = [opened.picture for opened in batch if opened.picture is not None]
        found = iter(search.detect(pictures) if cut.searches else [[]] * len(pictures))
        pictures.clear()
        while batch:  # frees each image before the next ones are opened
            image = batch.pop(0)
            # Drawing needs the picture, not the photograph, and takes as much memory again.
            looked = Looked(image.source, problem=image.problem, picture=image.picture if draws else None)
            if image.photograph is not None:
                try:
                    shown = cut.faces(image.photograph, next(found) if image.picture is not None else [])
                    looked.faces = sorted(shown, key=lambda face: face.box)  # by the left edge, as they are numbered
                    looked.problem = "" if looked.faces else NO_FACE
                except BrokenImageError as error:
                    looked.problem, looked.picture = str(error), None
            del image
            yield looked
            del looked


def asked(ask: Ask, looks: Iterator[Looked], device: str, batch_size: int = 1) -> Iterator[tuple[Looked, np.ndarray]]:
    """Yields each image with the model's output ``(F, …)``, a row for each of its F faces.

    Args:
        ask: the model, or another function of its inputs.
        looks: from :func:`look`.
        device: the model's.
        batch_size: number of images whose faces go through the model together; a forward pass takes at most
            ``max(16, batch_size)`` faces.
    """
    while group := list(islice(looks, batch_size)):
        faces = [face for image in group for face in image.faces]
        most = max(_FACES, batch_size)
        rows = [row for i in range(0, len(faces), most) for row in _rows(ask, faces[i : i + most], device)]
        while group:
            image = group.pop(0)
            own, rows = rows[: len(image.faces)], rows[len(image.faces) :]
            yield image, np.array(own)
            del image


def _rows(ask: Ask, faces: Sequence[Shown], device: str) -> np.ndarray:
    pixels = torch.from_numpy(np.stack([face.crop.image for face in faces])).to(device).float().div_(255)
    points = torch.from_numpy(np.stack([face.crop.landmarks for face in faces])).to(device)
    with torch.no_grad():
        rows: np.ndarray = ask(pixels, points).cpu().numpy()
    return rows


@dataclass
class _Opened:
    """An image in memory, with a picture of it for detection and drawing; or why it can't be read."""

    source: str
    photograph: Photograph | None = None
    picture: Picture | None = None
    problem: str = ""

    @classmethod
    def of(cls, given: Given, search: FaceSearch | None) -> _Opened:
        try:
            photograph = Photograph(given.image)
            return cls(given.source, photograph, search.picture(photograph) if search else None)
        except BrokenImageError as error:
            return cls(given.source, problem=str(error))

    @property
    def held(self) -> int:
        """Approximate bytes in memory."""
        picture = 4 * self.picture.image.width * self.picture.image.height if self.picture else 0
        return picture + (self.photograph.held if self.photograph else 0)


def _batches(images: Iterable[Path | Given], search: FaceSearch | None, most: int) -> Iterator[list[_Opened]]:
    """Images in order, in batches that are smaller if the images are large."""
    batch: list[_Opened] = []
    for image in images:
        batch.append(_Opened.of(Given.of_file(image) if isinstance(image, Path) else image, search))
        if len(batch) == most or sum(opened.held for opened in batch) > _HELD_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch
