"""From a photograph, a box and five points to a face of fixed size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

#: Where the five points of an aligned face lie in 112×112 pixels (ArcFace, Deng et al. 2019, arXiv:1801.07698).
ALIGNED_POINTS = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)],
    dtype=np.float32,
)

#: Where they lie on average in 112×112 crops of "cdfer": the points of a face in which none were found.
TYPICAL_POINTS = np.array([(33.1, 45.3), (79.9, 44.7), (56.1, 69.4), (37.0, 93.5), (76.7, 93.3)], dtype=np.float32)

_TEMPLATE_PX = 112

Box = tuple[float, float, float, float]  #: left, top, right, bottom, in pixels


class Crop(NamedTuple):
    """A face cut out."""

    image: np.ndarray  #: ``(3, P, P)`` uint8, RGB
    landmarks: np.ndarray  #: ``(5, 2)`` float32, in pixels of the crop


def pad_box(box: Box, width: int, height: int) -> Box:
    """The box with int(0.5·int(0.2·side)) pixels more on each side, about 10 %, clipped to the image (CD-FER).

    Raises:
        ValueError: less than 2×2 pixels of the box lie in the image.
    """
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
        raise ValueError(f"the face's box {tuple(round(b) for b in box)} is not inside the {width}x{height} image")
    return padded


def whole_image(image: Image.Image) -> Box:
    """The box around all of an image."""
    return (0.0, 0.0, float(image.width), float(image.height))


def centre_square(image: Image.Image) -> Box:
    """The largest square in the middle of an image: what is trained on of one whose faces nobody looked for."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return (float(left), float(top), float(left + side), float(top + side))


def typical_points(mode: str, size_px: int) -> np.ndarray:
    """The points ``(5, 2)`` of a crop in which none were found."""
    return (ALIGNED_POINTS if mode == "arcface" else TYPICAL_POINTS) * (size_px / _TEMPLATE_PX)


def cut_region(image: Image.Image, region: Box, points: np.ndarray, size_px: int) -> Crop:
    """A part of an image, each side stretched to ``size_px``, and points of the image in it."""
    left, top, right, bottom = region
    resized = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=region)
    scale = size_px / np.array([right - left, bottom - top])
    return Crop(_to_array(resized), ((points - [left, top]) * scale).astype(np.float32))


def cut_face(image: Image.Image, box: Box, points: np.ndarray, mode: str, size_px: int) -> Crop:
    """Cuts a face out of an image.

    Args:
        image: RGB.
        box: of the face.
        points: ``(5, 2)`` in pixels of the image.
        mode: "cdfer" (the padded box, each side stretched to ``size_px``), "arcface" (the points moved onto
            :data:`ALIGNED_POINTS` by rotation, scale and shift), or "none" (the whole image).
        size_px: P.

    Raises:
        ValueError: the box is not in the image, or the points are all the same.
    """
    if mode == "arcface":
        return _align(image, points, size_px)
    region = whole_image(image) if mode == "none" else pad_box(box, *image.size)
    return cut_region(image, region, points, size_px)


def similarity(points: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift that brings points closest to goals, in least squares (Umeyama 1991).

    Args:
        points, goals: ``(n, 2)``.

    Returns:
        ``(2, 3)``: goal ≈ A·(x, y, 1).

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


def _align(image: Image.Image, points: np.ndarray, size_px: int) -> Crop:
    forth = similarity(points, ALIGNED_POINTS * (size_px / _TEMPLATE_PX))
    landmarks = (points @ forth[:, :2].T + forth[:, 2]).astype(np.float32)
    shrink = max(1, int(1 / np.hypot(forth[0, 0], forth[1, 0])))  # whole factors first, against aliasing
    forth[:, :2] *= shrink
    back = np.linalg.inv(np.vstack([forth, [0, 0, 1]]))[:2]
    small = image.reduce(shrink) if shrink > 1 else image
    aligned = small.transform(
        (size_px, size_px), Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return Crop(_to_array(aligned), landmarks)


def _to_array(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # (3, P, P)
