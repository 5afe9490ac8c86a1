"""Projection from face units to pixels, landmarks, and a canvas to blend colours on."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

#: Radii of the ellipsoid on which the features lie; wider than the head, so that no feature reaches its rim.
_RADIUS_X, _RADIUS_Y = 0.86, 1.06


#: How far the nose tip stands out from the ellipsoid.
_NOSE_DEPTH = 0.16


BLACK, WHITE = np.float32(0.05), np.float32(0.95)


def project(face: SimpleNamespace, u: np.ndarray | float, v: np.ndarray) -> np.ndarray:
    """Where points of the face surface appear in the image: ``(N, 1, 1)`` face units to ``(N, 2)`` in -1..1."""
    x, y = u / _RADIUS_X, v / _RADIUS_Y
    z = np.sqrt(np.maximum(1 - x * x - y * y, 0))
    x, z = x * np.cos(face.yaw) + z * np.sin(face.yaw), z * np.cos(face.yaw) - x * np.sin(face.yaw)
    y = y * np.cos(face.pitch) + z * np.sin(face.pitch)
    head_x, head_y = _recentre(face)
    x, y = _RADIUS_X * x + head_x, _RADIUS_Y * y + head_y
    cos, sin = np.cos(face.roll) * face.scale, np.sin(face.roll) * face.scale
    return np.stack([cos * x - sin * y + face.shift_x, sin * x + cos * y + face.shift_y], -1)[:, 0, 0]


def _recentre(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """The place of the head's axis: a crop follows the features, which move off the axis when the head turns."""
    return -0.6 * _RADIUS_X * np.sin(face.yaw), -0.6 * _RADIUS_Y * np.sin(face.pitch)


def nose_tip(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """The nose tip as a surface point; because it stands out, a turn moves it further than its surroundings."""
    return _NOSE_DEPTH * np.sin(face.yaw), face.nose_y - 0.04 * face.wrinkle + _NOSE_DEPTH * np.sin(face.pitch)


def mouth_line(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The line between the lips: half-width, y of the middle, and y of the corners."""
    middle = face.nose_y + face.mouth_gap + 0.025 * face.corners - 0.02 * face.upper_lip
    corner = middle - 0.115 * face.corners + 0.06 * face.jaw
    return face.mouth_width * (1 + 0.42 * face.stretch), middle, corner


def face_landmarks(face: SimpleNamespace) -> np.ndarray:
    """The five points ``(N, 5, 2)`` in -1..1."""
    width, _, corner = mouth_line(face)
    points = [(-face.eye_x, face.eye_y), (face.eye_x, face.eye_y), nose_tip(face), (-width, corner), (width, corner)]
    return np.stack([project(face, u, v) for u, v in points], axis=1)


class Canvas:
    """Pixels of N images with the coordinates that shapes are drawn in.

    Attributes:
        rgb: ``(3, N, H, W)``.
        x, y: ``(N, H, W)`` head coordinates: face units in the image plane, upright.
        u, v: ``(N, H, W)`` coordinates on the turned face: what a frontal view would show there.
        step: ``(N, 1, 1)`` side of a pixel in face units, over which edges fade.
    """

    def __init__(self, rgb: np.ndarray, coordinates: np.ndarray, step: np.ndarray) -> None:
        self.rgb = rgb
        self.coordinates = coordinates  # (4, N, H, W)
        self.x, self.y, self.u, self.v = coordinates
        self.step = step

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Coverage ``(N, H, W)`` by a shape with a signed distance, negative inside."""
        covered: np.ndarray = np.clip(0.5 - distance / self.step, 0, 1)
        return covered

    def stroke(self, distance: np.ndarray, half_width: np.ndarray | float) -> np.ndarray:
        """Coverage of a line, fainter where it is thinner than a pixel."""
        half = np.maximum(half_width, self.step / 2)
        return self.inside(np.abs(distance) - half) * (half_width / half)

    def paint(self, coverage: np.ndarray, colour: np.ndarray | np.float32 | float) -> None:
        """Blends in a colour ``(3, N, 1, 1)`` or a gray by a shape's coverage."""
        change = colour - self.rgb
        change *= coverage
        self.rgb += change

    def window(self, centre: np.ndarray, half_side: float) -> tuple[Canvas, Callable[[], None]]:
        """The square around a point ``(N, 2)``, in -1..1, of each image; half its side is in face units.

        Returns:
            A canvas of its own, and a function that puts its colours back.
        """
        side = self.rgb.shape[-1]
        reach = int(np.ceil(half_side / self.step.min()))
        length = min(2 * reach, side)
        start = np.clip(np.rint((centre + 1) * (side / 2)).astype(int) - reach, 0, side - length)
        places = [
            (slice(None), i, slice(y, y + length), slice(x, x + length)) for i, (x, y) in enumerate(start.tolist())
        ]
        parts = [np.empty((len(whole), len(places), length, length), whole.dtype) for whole in self._arrays]
        for whole, part in zip(self._arrays, parts, strict=True):
            for i, place in enumerate(places):
                part[:, i] = whole[place]

        def put_back() -> None:
            for i, place in enumerate(places):
                self.rgb[place] = parts[0][:, i]

        return Canvas(parts[0], parts[1], self.step), put_back

    @property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return self.rgb, self.coordinates


def blank_canvas(face: SimpleNamespace, size_px: int) -> Canvas:
    """A canvas over the whole images, with colours not yet set."""
    grid = (np.arange(size_px, dtype=np.float32) + 0.5) * np.float32(2 / size_px) - 1
    image_x, image_y = grid - face.shift_x, grid[:, None] - face.shift_y
    cos, sin = np.cos(face.roll) / face.scale, np.sin(face.roll) / face.scale
    x, y = cos * image_x + sin * image_y, cos * image_y - sin * image_x
    head_x, head_y = _recentre(face)
    u, v = (x - head_x) / _RADIUS_X, (y - head_y) / _RADIUS_Y
    z = np.sqrt(np.maximum(1 - u * u - v * v, 0))
    v, z = v * np.cos(face.pitch) - z * np.sin(face.pitch), z * np.cos(face.pitch) + v * np.sin(face.pitch)
    u = u * np.cos(face.yaw) - z * np.sin(face.yaw)
    coordinates = np.stack([x - head_x, y - head_y, u * _RADIUS_X, v * _RADIUS_Y])
    rgb = np.empty((3, *x.shape), np.float32)
    return Canvas(rgb, coordinates, np.float32(2 / size_px) / face.scale)
