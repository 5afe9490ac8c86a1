"""Crops faces of a fixed size from photographs, by box and five points."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

#: Where the five points of an aligned face lie in 112×112 pixels (ArcFace, Deng et al. 2019, arXiv:1801.07698).
ALIGNED_POINTS = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)],
    dtype=np.float32,
)

#: Their mean places in 112×112 "cdfer" crops: stand in for the points of a face in which none were found.
TYPICAL_POINTS = np.array([(33.1, 45.3), (79.9, 44.7), (56.1, 69.4), (37.0, 93.5), (76.7, 93.3)], dtype=np.float32)

_TEMPLATE_PX = 112

Box = tuple[float, float, float, float]  #: left, top, right, bottom, in pixels


class Sized(Protocol):
    """An image, a picture or a photograph."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole image, in pixels."""


class Picture(NamedTuple):
    """A photograph or a part of it, possibly scaled down."""

    image: Image.Image  #: RGB, upright
    size: tuple[int, int]  #: width and height of the photograph
    origin: tuple[float, float] = (0.0, 0.0)  #: the picture's upper left corner in the photograph
    factor: int = 1  #: side of a picture's pixel, in pixels of the photograph

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Converts points ``(…, 2)`` from pixels of the photograph to pixels of the picture."""
        moved: np.ndarray = (points - np.array(self.origin)) / self.factor
        return moved

    def to_photograph(self, points: np.ndarray) -> np.ndarray:
        """Converts points ``(…, 2)`` from pixels of the picture to pixels of the photograph."""
        moved: np.ndarray = points * self.factor + np.array(self.origin)
        return moved


class Crop(NamedTuple):
    """A cropped face."""

    image: np.ndarray  #: ``(3, P, P)`` uint8, RGB
    landmarks: np.ndarray  #: ``(5, 2)`` float32, in pixels of the crop


def pad_box(box: Box, width: int, height: int) -> Box:
    """A box enlarged by int(0.5·int(0.2·side)) pixels on each side, about 10 %, and clipped to the image (CD-FER).

    Raises:
        ValueError: less than 2×2 pixels of the box lie in the image.
    """
    if not np.isfinite(box).all():
        raise ValueError(f"the face's box {_said(box)} is not a box")
    left, top, right, bottom = box
    across = int(0.5 * int(0.2 * (right - left)))
    along = int(0.5 * int(0.2 * (bottom - top)))
    padded = (
        max(0.0, left - across),
        max(0.0, top - along),
        min(float(width), right + across),
        min(float(height), bottom + along),
    )
    if padded[2] - padded[0] < 2 or padded[3] - padded[1] < 2:
        raise ValueError(f"the face's box {_said(box)} is not inside the {width}x{height} image")
    return padded


def _said(box: Box) -> str:
    return f"({', '.join(f'{b:.0f}' for b in box)})"


def whole_image(image: Sized) -> Box:
    """The box of a whole image."""
    width, height = image.size
    return (0.0, 0.0, float(width), float(height))


def centre_square(image: Sized) -> Box:
    """The box of the largest square in the middle of an image: the crop of images without face detection."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return (float(left), float(top), float(left + side), float(top + side))


def typical_points(mode: str, size_px: int) -> np.ndarray:
    """The five points ``(5, 2)``, in pixels, assumed for a crop in which none were found."""
    return (ALIGNED_POINTS if mode == "arcface" else TYPICAL_POINTS) * (size_px / _TEMPLATE_PX)


def region_of(image: Sized, box: Box, points: np.ndarray, mode: str, size_px: int) -> tuple[Box, float]:
    """The part of a photograph that :func:`cut_face` uses, and the scale of the crop.

    Args:
        image: the photograph.
        box, points, mode, size_px: see :func:`cut_face`.

    Returns:
        The part's bounding box, which may reach beyond the photograph; and how many pixels of the photograph make one
        of the crop, along the side with fewer.

    Raises:
        ValueError: the box is not in the image, or the points are all the same.
    """
    if mode != "arcface":
        region = whole_image(image) if mode == "none" else pad_box(box, *image.size)
        return region, min(region[2] - region[0], region[3] - region[1]) / size_px
    forth = similarity(points, ALIGNED_POINTS * (size_px / _TEMPLATE_PX))
    corners = np.array([(0, 0), (0, size_px), (size_px, 0), (size_px, size_px)])
    corners = (corners - forth[:, 2]) @ np.linalg.inv(forth[:, :2]).T
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    return (left, top, right, bottom), float(1 / np.hypot(forth[0, 0], forth[1, 0]))


def cut_face(image: Image.Image | Picture, box: Box, points: np.ndarray, mode: str, size_px: int) -> Crop:
    """Crops a face from an image.

    Args:
        image: RGB, or a picture that covers the region of :func:`region_of`.
        box: of the face, in pixels of the photograph.
        points: ``(5, 2)`` in pixels of the photograph.
        mode: "cdfer" (the padded box, each side stretched to ``size_px``), "arcface" (the points moved onto
            :data:`ALIGNED_POINTS` by rotation, scale and shift), or "none" (the whole image).
        size_px: the crop's side P.

    Raises:
        ValueError: the box is not in the image, or the points are all the same.
    """
    if mode == "arcface":
        return _align(_picture(image), points, size_px)
    region = whole_image(image) if mode == "none" else pad_box(box, *image.size)
    return cut_region(image, region, points, size_px)


def cut_region(image: Image.Image | Picture, region: Box, points: np.ndarray, size_px: int) -> Crop:
    """Crops a region, each side stretched to ``size_px``, and converts points to pixels of the crop.

    Args:
        image: RGB, or a picture that covers the region.
        region: in pixels of the photograph.
        points: ``(5, 2)`` in pixels of the photograph.
        size_px: the crop's side P.
    """
    picture = _picture(image)
    left, top, right, bottom = region
    box = picture.to_picture(np.reshape(region, (2, 2))).ravel().tolist()
    inside = (*box[:2], min(picture.image.width, box[2]), min(picture.image.height, box[3]))  # rounding may exceed it
    resized = picture.image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=inside)
    scale = size_px / np.array([right - left, bottom - top])
    return Crop(_to_array(resized), ((points - [left, top]) * scale).astype(np.float32))


def _picture(image: Image.Image | Picture) -> Picture:
    return image if isinstance(image, Picture) else Picture(image, image.size)


def similarity(points: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift that best maps points to goals, in least squares (Umeyama 1991).

    Args:
        points, goals: ``(n, 2)``.

    Returns:
        The matrix A ``(2, 3)`` with goal ≈ A·(x, y, 1).

    Raises:
        ValueError: the points are all the same.
    """
    # In the plane a similarity is multiplication by a complex number: least squares has a closed form.
    p, g = (a.astype(np.float64) @ [1, 1j] for a in (points, goals))
    centred = p - p.mean()
    spread = (np.abs(centred) ** 2).sum()
    if spread == 0:
        raise ValueError("the five points are all the same")
    turn = (centred.conj() * (g - g.mean())).sum() / spread
    shift = g.mean() - turn * p.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _align(picture: Picture, points: np.ndarray, size_px: int) -> Crop:
    forth = similarity(points, ALIGNED_POINTS * (size_px / _TEMPLATE_PX))
    landmarks = (points @ forth[:, :2].T + forth[:, 2]).astype(np.float32)
    forth[:, 2] += forth[:, :2] @ picture.origin  # from here on, forth maps the picture's pixels
    forth[:, :2] *= picture.factor
    shrink = max(1, int(1 / np.hypot(forth[0, 0], forth[1, 0])))  # whole factors first, against aliasing
    forth[:, :2] *= shrink
    back = np.linalg.inv(np.vstack([forth, [0, 0, 1]]))[:2]
    small = picture.image.reduce(shrink) if shrink > 1 else picture.image
    aligned = small.transform(
        (size_px, size_px), Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return Crop(_to_array(aligned), landmarks)


def _to_array(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # (3, P, P)
