"""From photographs to predictions: find the faces, cut them out as in training, ask the model."""

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

_BATCH = 16  #: images at a time, at most
_HELD_BYTES = 32 << 20  #: of images in memory at a time; with more than this, no further one is opened
_FACES = 16  #: faces that the model is shown at a time

Ask = Callable[[Tensor, Tensor], Tensor]  #: from faces ``(N, 3, P, P)`` and points ``(N, 5, 2)`` to a row for each


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
) -> Iterator[Faces]:
    """Every face of every image, image by image.

    Args:
        model: in eval mode.
        images: files, or what :class:`.Given` takes.
        device: where faces are found and classified.
        annotate: for each image, the file for a picture with boxes, labels and bars; see :func:`.picture_files`.
        crop: how faces are cut out; see :class:`.Cut`.
        detect_px: the longer side of images when faces are looked for; see :class:`.FaceSearch`.
        search: what looks for them, if there is one already.
        batch_size: of so many images the model is shown the faces together.
    """
    search, cut = search or FaceSearch(device, detect_px, model.size_px), Cut(model, crop)
    model = model.to(device)
    looks = look(images, search, cut, batch_size, draws=annotate is not None)
    for number, (image, probs) in enumerate(asked(model, looks, device, 1 if annotate else batch_size)):
        predictions = [Prediction(image.source, f.box, f.points, p) for f, p in zip(image.faces, probs, strict=True)]
        faces = Faces(predictions or [Prediction(image.source, problem=image.problem)], model.classes)
        if annotate is not None and image.picture is not None:
            save_picture(annotated(image.picture, faces.predictions, model.classes), annotate[number])
        del image
        yield faces


@dataclass
class Looked:
    """What was found in an image."""

    source: str
    faces: list[Shown] = field(default_factory=list)
    problem: str = ""  #: why there is no face
    picture: Picture | None = None  #: to draw on


def look(
    images: Iterable[Path | Given], search: FaceSearch, cut: Cut, batch_size: int = 1, *, draws: bool = False
) -> Iterator[Looked]:
    """The faces of every image, cut out.

    Args:
        images: files, or what :class:`.Given` takes.
        search: looks for faces.
        cut: cuts them out.
        batch_size: at least so many images are searched together, if they are not too large.
        draws: keep a picture of each image that can be read.
    """
    for batch in _batches(images, search if cut.searches or draws else None, max(_BATCH, batch_size)):
        pictures = [opened.picture for opened in batch if opened.picture is not None]
        found = iter(search.detect(pictures) if cut.searches else [[]] * len(pictures))
        pictures.clear()
        while batch:  # an image is let go before the next ones are opened
            image = batch.pop(0)
            # Drawing takes the picture alone, and as much memory again.
            looked = Looked(image.source, problem=image.problem, picture=image.picture if draws else None)
            if image.photograph is not None:
                try:
                    looked.faces = cut.faces(image.photograph, next(found) if image.picture is not None else [])
                    looked.problem = "" if looked.faces else NO_FACE
                except BrokenImageError as error:
                    looked.problem, looked.picture = str(error), None
            del image
            yield looked
            del looked


def asked(ask: Ask, looks: Iterator[Looked], device: str, batch_size: int = 1) -> Iterator[tuple[Looked, np.ndarray]]:
    """Each image, and the model's rows ``(F, …)`` for its faces.

    Args:
        ask: the model, or another function of its inputs.
        looks: from :func:`look`.
        device: the model's.
        batch_size: of so many images the model is shown the faces together, but no more than as many or 16 at a time.
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
    """An image in memory, and a picture of it to look for faces in and to draw on; or why it can't be read."""

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
        """Bytes in memory, about."""
        picture = 4 * self.picture.image.width * self.picture.image.height if self.picture else 0
        return picture + (self.photograph.held if self.photograph else 0)


def _batches(images: Iterable[Path | Given], search: FaceSearch | None, most: int) -> Iterator[list[_Opened]]:
    """Images in order, few at a time of large ones."""
    batch: list[_Opened] = []
    for image in images:
        batch.append(_Opened.of(Given.of_file(image) if isinstance(image, Path) else image, search))
        if len(batch) == most or sum(opened.held for opened in batch) > _HELD_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch
