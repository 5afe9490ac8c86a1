"""Crops an image's faces for a model as its training faces were cropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data.crops import Box, Crop, centre_square, typical_points, whole_image
from ..data.photograph import BrokenImageError, Photograph
from ..data.rescaling import rescaled
from ..util.errors import DiskError

if TYPE_CHECKING:
    from ..data.detect import Detection
    from .model import FaceModel

CROPS = ("model", "cdfer", "none")
#: What a model sees, by the name of the crop.
_CROPPED = {
    "cdfer": "faces that are detected and cropped to the box and about 10 % around it",
    "arcface": "faces that are detected and aligned by eyes, nose and mouth",
    "none": "whole images",
}


@dataclass(frozen=True)
class Shown:
    """A face as the model is shown it."""

    crop: Crop
    box: Box  #: in pixels of the image
    points: np.ndarray | None  #: ``(5, 2)`` in pixels of the image; None if none were found


class Cut:
    """Cuts faces out of images for a model.

    Args:
        model: its settings say how its training faces were cropped.
        crop: "model" (as in training; as "cdfer" if the training images were used uncropped), "cdfer" (the box and
            about 10 % around it), or "none" (each image is one face: the whole image, or its centre square if the
            model was trained on that).
    """

    def __init__(self, model: FaceModel, crop: str) -> None:
        given = model.settings["input"]
        self._size_px, self._crop_px = model.size_px, model.crop_px
        self._prepared, self._trained = bool(given["prepared"]), str(given["crop"])
        self._whole = crop == "none"
        self.mode = self._trained if crop == "model" else crop
        self.searches = not self._whole or bool(given["landmarks"])  #: whether faces have to be looked for

    def difference(self) -> str | None:
        """A clause that says how the model's training faces were cropped, and how these are; None if alike."""
        was = _CROPPED[self._trained] if self._prepared else "images as they are"
        if self.mode == (self._trained if self._prepared else "none"):
            return None
        return f"the model was trained on {was}, but now sees {_CROPPED[self.mode]}"

    def warning(self) -> str | None:
        """A line of warning if the model was trained on faces that were cropped in another way, with advice."""
        if (line := self.difference()) is None:
            return None
        if self._prepared:
            return f"{line} (--crop model shows it what it was trained on)"
        return f"{line} (--crop none if your images are faces cropped like those that it was trained on)"

    def faces(self, image: Photograph, found: Sequence[Detection]) -> list[Shown]:
        """The crops of an image for the model; empty if there is no face.

        Args:
            image: the photograph.
            found: its faces, the most probable first.

        Raises:
            BrokenImageError: the image can't be read.
            DiskError: the disk failed.
        """
        if self._whole:
            return [self._all_of(image, found[0].points if found else None)]
        if self.mode == "none":
            return [self._all_of(image, face.points) for face in found[:1]]
        shown = []
        for face in sorted(found, key=lambda face: -self._factor(image, face)):  # so that the file is decoded rarely
            try:
                crop = self._scaled(image.face(face.box, face.points, self.mode, self._crop_px))
            except (BrokenImageError, DiskError):
                raise
            except ValueError:
                continue  # a box that only touches the image
            shown.append(Shown(crop, face.box, face.points))
        return shown

    def _factor(self, image: Photograph, face: Detection) -> int:
        """See :meth:`.Photograph.face_factor`; 0 for a box that only touches the image."""
        try:
            return image.face_factor(face.box, face.points, self.mode, self._crop_px)
        except ValueError:
            return 0

    def _scaled(self, crop: Crop) -> Crop:
        """A crop at the model's size, scaled as a store's faces are."""
        if self._crop_px == self._size_px:
            return crop
        factor = np.float32(self._size_px / self._crop_px)
        return Crop(rescaled(crop.image[None], self._size_px)[0], crop.landmarks * factor)

    def _all_of(self, image: Photograph, points: np.ndarray | None) -> Shown:
        region = whole_image(image) if self._prepared else centre_square(image)
        if points is not None:
            return Shown(image.region(region, points, self._size_px), region, points)
        crop = image.region(region, np.zeros((5, 2)), self._size_px)
        return Shown(Crop(crop.image, typical_points("cdfer", self._size_px)), region, None)
