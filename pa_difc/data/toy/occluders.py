"""Draws what hides a face: glasses, hands, objects, scarves, caps."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from .canvas import Canvas


def _lens_distance(canvas: Canvas, face: SimpleNamespace) -> np.ndarray:
    """Signed distance from the outlines of two lenses."""
    square = np.abs((np.abs(canvas.u) - face.eye_x) / 0.235) ** 3 + np.abs((canvas.v - face.eye_y) / 0.17) ** 3
    distance: np.ndarray = (np.cbrt(square) - 1) * 0.19
    return distance


def spectacles(canvas: Canvas, face: SimpleNamespace) -> None:
    rims = canvas.stroke(_lens_distance(canvas, face), 0.018)
    bridge = canvas.inside(np.abs(canvas.u) - face.eye_x + 0.235) * canvas.stroke(canvas.v - face.eye_y + 0.03, 0.016)
    canvas.paint(np.maximum(rims, bridge), face.shirt * 0.4)


def _sunglasses(canvas: Canvas, face: SimpleNamespace) -> None:
    bridge = np.maximum(np.abs(canvas.v - face.eye_y + 0.06) - 0.03, np.abs(canvas.u) - face.head_width)
    lens = np.minimum(_lens_distance(canvas, face) - 0.02, bridge)
    canvas.paint(0.95 * canvas.inside(lens), face.occluder_colour * 0.2)


def _hand(canvas: Canvas, face: SimpleNamespace) -> None:
    """Four fingers and a palm that come from below, over a cheek, the mouth or the chin."""
    px, py = _occluder_frame(canvas, face, 0.45 * face.occluder_x, 0.75 + 0.15 * face.occluder_y)
    distance = 0.3 * (np.hypot(px / 0.32, np.maximum(-py, 0) / 0.25) - 1)
    for finger, length in ((-0.23, 0.5), (-0.08, 0.6), (0.07, 0.58), (0.22, 0.45)):
        across = px - finger - 0.12 * finger * np.minimum(py, 0)
        distance = np.minimum(distance, np.hypot(across, py - np.clip(py, -length, 0)) - 0.07)
    canvas.paint(canvas.inside(distance - 0.02), face.line)
    canvas.paint(canvas.inside(distance), face.skin * 0.95)


def _object(canvas: Canvas, face: SimpleNamespace) -> None:
    """A box with a stripe, such as a telephone or a cup, over one side of the face."""
    px, py = _occluder_frame(canvas, face, 0.55 * np.sign(face.occluder_x), 0.5 * face.occluder_y)
    box = np.maximum(np.abs(px) - 0.28, np.abs(py) - 0.42)
    canvas.paint(canvas.inside(box), face.occluder_colour)
    canvas.paint(canvas.inside(np.maximum(box + 0.05, np.abs(py) - 0.12)), face.clutter_a)


def _scarf(canvas: Canvas, face: SimpleNamespace) -> None:
    """Cloth over the chin, up to the mouth or just below it."""
    edge = 0.62 + 0.14 * face.occluder_y - 0.15 * canvas.u**2
    cloth = np.maximum(edge - canvas.v, np.abs(canvas.x) - 0.85)
    canvas.paint(canvas.inside(cloth), face.occluder_colour)
    stripes = np.abs((canvas.v - edge) % 0.16 - 0.08) - 0.03
    canvas.paint(0.7 * canvas.inside(np.maximum(cloth, stripes)), face.clutter_b)


def _cap(canvas: Canvas, face: SimpleNamespace) -> None:
    """A cap whose visor comes down to the brows."""
    edge = face.eye_y - face.brow_gap - 0.12 + 0.1 * face.occluder_y
    crown = np.maximum(canvas.v - edge, np.hypot(canvas.x / (face.head_width + 0.08), np.minimum(canvas.y, 0)) - 1)
    canvas.paint(canvas.inside(crown), face.occluder_colour)
    visor = np.hypot(canvas.u / (face.head_width + 0.02), (canvas.v - edge) / 0.1) - 1
    canvas.paint(canvas.inside(0.1 * visor), face.occluder_colour * 0.5)


OCCLUDERS = (_sunglasses, _hand, _object, _scarf, _cap)


def _occluder_frame(
    canvas: Canvas, face: SimpleNamespace, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates around a point of the head, turned by the occluder's angle."""
    dx, dy = canvas.x - x, canvas.y - y
    cos, sin = np.cos(face.occluder_angle), np.sin(face.occluder_angle)
    return cos * dx + sin * dy, cos * dy - sin * dx
