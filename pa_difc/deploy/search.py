"""Detects faces of all sizes in a photograph: on a small copy of it first, then on larger ones for smaller faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import ceil
from threading import Lock

import numpy as np
from PIL import Image

from ..data.crops import Box, Picture
from ..data.detect import Detection, FaceDetector
from ..data.photograph import Photograph, picture_px
from ..data.protocol import CLOSE_PX, DETECT_PX

_TILE = 1024  #: pixels; larger copies are searched in tiles of this size, to bound memory
_STEP = 4  #: each copy is at most this many times larger than the one before
_OVERLAP = 160  #: pixels that tiles overlap by: more than a face that the copy before was too small for
_WORTH_IT = 1.25  #: a copy less than this many times larger finds little more, and is skipped
_SURE = 0.9  #: detections on larger copies below this confidence are mostly false
_GAP = 3  #: Pillow's ``reducing_gap``: a much larger image is first reduced by a whole factor
_SAME = 0.5  #: two boxes are the same face if this share of the smaller one lies in the other


class FaceSearch:
    """MTCNN on copies of an image with longer sides of 256 pixels, 1024, and so on up to ``detect_px``.

    A face must be about 25 pixels wide in a copy to be found there. The smallest copy gives the same faces as
    ``prepare``, which searches only that one.

    Args:
        device: where it runs.
        detect_px: longer side of the largest copy; images are never enlarged.
        crop_px: side of the face crops.
    """

    def __init__(self, device: str, detect_px: int, crop_px: int) -> None:
        self._device, self._largest = device, detect_px
        self._one_at_a_time = Lock()  # a search changes the detectors' settings
        self._picture_px = max(detect_px, picture_px(crop_px))

    @cached_property
    def _whole(self) -> FaceDetector:
        return FaceDetector(self._device, min(self._largest, DETECT_PX))

    @cached_property
    def _parts(self) -> FaceDetector:
        return FaceDetector(self._device, _TILE, tight=True)

    def picture(self, photograph: Photograph) -> Picture:
        """The picture to search: fine enough for the largest copy, and to crop most faces from.

        Raises:
            BrokenImageError: the photograph can't be read.
            DiskError: the disk failed.
        """
        return photograph.near(self._picture_px)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """Detects the faces of each picture, in pixels of its photograph.

        Faces found on the smallest copy come first, and of each copy the most probable ones.

        Args:
            pictures: from :meth:`picture`.
        """
        with self._one_at_a_time:
            return self._detect(pictures)

    def _detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        images = [picture.image for picture in pictures]
        found = self._whole.detect(images, [max(picture.size) <= CLOSE_PX for picture in pictures])
        for image, faces in zip(images, found, strict=True):
            for side in self._sides(max(image.size)):
                finer = [face for face in self._finer(image, side) if face.confidence >= _SURE]
                for face in sorted(finer, key=lambda face: -face.confidence):
                    if all(_shared(face.box, other.box) < _SAME for other in faces):
                        faces.append(face)
        return [[_moved(f, p.factor, p.origin) for f in faces] for faces, p in zip(found, pictures, strict=True)]

    def _sides(self, longer: int) -> Iterator[int]:
        """The longer sides of the larger copies."""
        largest, side = min(self._largest, longer), DETECT_PX
        while largest >= _WORTH_IT * side:
            side = min(largest, _STEP * side)
            yield side

    def _finer(self, image: Image.Image, side: int) -> Iterator[Detection]:
        """The faces found on a copy with this longer side, in pixels of ``image``."""
        scale = side / max(image.size)
        width, height = (max(1, round(scale * n)) for n in image.size)
        size = min(_TILE, width), min(_TILE, height)
        self._parts.detect_px = max(size)
        for top in _starts(height):
            for left in _starts(width):
                region = (left / scale, top / scale, (left + size[0]) / scale, (top + size[1]) / scale)
                box = (*region[:2], min(region[2], image.width), min(region[3], image.height))
                part = image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=_GAP)
                for face in self._parts.detect([part], [False])[0]:
                    yield _moved(face, 1 / scale, region[:2])


def _starts(length: int) -> list[int]:
    """Where the tiles along a side begin, evenly spaced."""
    if length <= _TILE:
        return [0]
    number = ceil((length - _OVERLAP) / (_TILE - _OVERLAP))
    return [round(i * (length - _TILE) / (number - 1)) for i in range(number)]


def _moved(face: Detection, scale: float, corner: tuple[float, float]) -> Detection:
    """A face in other pixels: scaled, then shifted by a tile's corner."""
    left, top, right, bottom = (np.asarray(face.box) * scale + corner * 2).tolist()
    return Detection((left, top, right, bottom), (face.points * scale + corner).astype(np.float32), face.confidence)


def _shared(a: Box, b: Box) -> float:
    """The share of the smaller box that lies in the larger one."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b))
