"""Applies orientation tags (EXIF 2.3, tag 274): turns images upright, with their boxes and points."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TAG = 0x0112

_T = Image.Transpose
#: The transpose that turns an image upright, by tag; 1 is upright already.
_TURNS = {
    2: _T.FLIP_LEFT_RIGHT,
    3: _T.ROTATE_180,
    4: _T.FLIP_TOP_BOTTOM,
    5: _T.TRANSPOSE,
    6: _T.ROTATE_270,
    7: _T.TRANSVERSE,
    8: _T.ROTATE_90,
}
#: Whether a point's x becomes w − x, and its y h − y, by tag; for the tags below, x and y are swapped afterwards.
_FLIPS = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
_SWAPPED = (5, 6, 7, 8)
_MIRRORED = (2, 4, 5, 7)
_OTHER_SIDE = [1, 0, 2, 4, 3]  #: order of a mirrored face's five points: left and right are swapped

Box = tuple[float, float, float, float]


class Orientation(NamedTuple):
    """How an image is stored.

    Args:
        tag: 1..8.
        size: width and height as stored.
    """

    tag: int
    size: tuple[int, int]

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height upright."""
        return (self.size[1], self.size[0]) if self.tag in _SWAPPED else self.size

    def turn(self, image: Image.Image) -> Image.Image:
        """An image, or a part of it, upright."""
        return image.transpose(_TURNS[self.tag]) if self.tag in _TURNS else image

    def points(self, points: NDArray[Any]) -> NDArray[Any]:
        """Converts points ``(n, 2)`` from the stored image to the upright one."""
        turned = np.array(points)
        for axis in (0, 1):
            if _FLIPS[self.tag][axis]:
                turned[:, axis] = self.size[axis] - turned[:, axis]
        return turned[:, ::-1].copy() if self.tag in _SWAPPED else turned

    def face(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Converts a face's five points ``(5, 2)``; if the image is mirrored, left and right are swapped."""
        turned = self.points(points)
        return turned[_OTHER_SIDE] if self.tag in _MIRRORED else turned

    def box(self, box: Box) -> Box:
        """Converts a box from the stored image to the upright one."""
        corners = self.points(np.array(box, dtype=np.float64).reshape(2, 2))
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        return (left, top, right, bottom)

    def back(self, box: Box) -> Box:
        """Converts a box from the upright image to the stored one."""
        inverse = {6: 8, 8: 6}.get(self.tag, self.tag)
        return Orientation(inverse, self.upright).box(box)


def orientation_of(image: Image.Image) -> Orientation:
    """The orientation of an image that is opened, but not loaded yet; an invalid tag counts as upright."""
    try:
        tag = image.getexif().get(TAG, 1)
    except Exception:  # damaged EXIF data, on which Pillow's parser raises whatever it likes
        tag = 1
    tag = tag if tag in _FLIPS else 1
    if turned_by_pillow(image) and tag in _SWAPPED:
        return Orientation(tag, (image.height, image.width))
    return Orientation(tag, image.size)


def turned_by_pillow(image: Image.Image) -> bool:
    """Whether Pillow turns the image itself on loading; its size is then the upright one."""
    return image.format == "TIFF"
