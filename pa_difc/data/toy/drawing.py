"""Draws the parts of a face from back to front."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import cast

import numpy as np

from .canvas import Canvas, blank_canvas, mouth_line, nose_tip, project
from .features import draw_eye, draw_mouth, draw_nose
from .occluders import OCCLUDERS, spectacles

_Draw = Callable[["Canvas", SimpleNamespace], None]


def draw_face(face: SimpleNamespace, size_px: int) -> np.ndarray:
    """Draws faces in full light: images ``(3, N, size_px, size_px)`` in 0..1."""
    canvas = blank_canvas(face, size_px)
    _draw_backdrop(canvas, face)
    distance = _head_distance(canvas, face)
    _draw_head(canvas, face, distance)
    _draw_hair(canvas, face, distance)
    nose_u, nose_v = nose_tip(face)
    _, mouth_v, _ = mouth_line(face)
    _draw_part(canvas, face, _draw_forehead, (0.0, face.eye_y - face.brow_gap - 0.1), 0.36)
    _draw_part(canvas, face, draw_nose, (nose_u / 2, nose_v - 0.06), 0.34)
    _draw_part(canvas, face, draw_mouth, (0.0, mouth_v), 0.5)
    for side in (-1, 1):
        _draw_part(canvas, face, partial(draw_eye, side=side), (side * face.eye_x, face.eye_y - 0.06), 0.36)
    _draw_on(canvas, face, spectacles, face.spectacles > 0)
    for kind, occluder in enumerate(OCCLUDERS):
        _draw_on(canvas, face, occluder, (face.occluded > 0) & (face.occluder.astype(int) == kind))
    return canvas.rgb


def _draw_on(canvas: Canvas, face: SimpleNamespace, draw: _Draw, chosen: np.ndarray) -> None:
    """Draws on some of the images, those where ``chosen`` ``(N, 1, 1)`` is true."""
    index = np.flatnonzero(chosen)
    if index.size:
        part = Canvas(canvas.rgb[:, index], canvas.coordinates[:, index], canvas.step[index])
        draw(part, cast(SimpleNamespace, _Some(face, index)))
        canvas.rgb[:, index] = part.rgb


class _Some:
    """Some of the faces; their values are looked up when they are used, which is of few."""

    def __init__(self, faces: SimpleNamespace, index: np.ndarray) -> None:
        self._faces, self._index = faces, index

    def __getattr__(self, name: str) -> np.ndarray:
        value: np.ndarray = getattr(self._faces, name)[..., self._index, :, :]
        return value


def _draw_part(
    canvas: Canvas, face: SimpleNamespace, draw: _Draw, centre: tuple[np.ndarray | float, np.ndarray], half_side: float
) -> None:
    """Draws only in a window around a point (u, v) of the face, for speed."""
    part, put_back = canvas.window(project(face, *centre), half_side)
    draw(part, face)
    put_back()


def _draw_backdrop(canvas: Canvas, face: SimpleNamespace) -> None:
    """A wall with stripes and a disc where there is clutter, and shoulders."""
    x, y = canvas.x, canvas.y
    canvas.rgb[:] = face.backdrop * (1.05 - 0.12 * y)
    across = np.cos(face.clutter_angle) * x + np.sin(face.clutter_angle) * y
    canvas.paint(canvas.inside(np.abs(across - 0.7) - 0.18), face.clutter_a)
    canvas.paint(canvas.inside(np.abs(across + 0.9) - 0.1), face.clutter_b)
    disc_x, disc_y = 0.85 * np.sin(face.clutter_angle), -0.6 + 0.4 * np.cos(3 * face.clutter_angle)
    canvas.paint(canvas.inside(np.hypot(x - disc_x, y - disc_y) - 0.3), face.clutter_b)
    canvas.paint(canvas.inside(np.hypot(x / 1.15, (y - 1.3) / 0.42) - 1), face.shirt)
    canvas.paint(canvas.inside(np.maximum(np.abs(x) - 0.4, 0.3 - y) + np.maximum(y - 1, 0)), face.skin * 0.75)


def _head_distance(canvas: Canvas, face: SimpleNamespace) -> np.ndarray:
    """Signed distance from the outline of the head; an opening jaw lengthens it."""
    height = np.where(canvas.y > 0, face.head_height + 0.07 * np.maximum(face.jaw, 0), face.head_height)
    t = canvas.y / height
    width = face.head_width * (1 - face.jaw_taper * np.square(np.clip(t, 0, 1)))
    distance: np.ndarray = (np.hypot(canvas.x / width, t) - 1) * width
    return distance


def _draw_head(canvas: Canvas, face: SimpleNamespace, distance: np.ndarray) -> None:
    """Hair behind the head, ears, and the head with its rim in shade."""
    x, y, hair = canvas.x, canvas.y, 1.0 - face.bald
    volume = face.hair_volume * np.clip(0.5 + face.hair_length, 0.25, 1)  # short hair lies close
    behind = np.hypot(x / (face.head_width + volume), np.minimum(y, 0) / (0.9 + volume)) - 1
    canvas.paint(hair * canvas.inside(np.maximum(behind * 0.7, y - face.hair_length)), face.hair * 0.8)
    for side in (-1, 1):
        ear_x = side * (face.head_width + 0.01) - 0.12 * np.sin(face.yaw)
        ear = np.hypot((x - ear_x) / 0.09, (y - face.eye_y - 0.1) / 0.17) - 1
        canvas.paint(canvas.inside(ear * 0.1), face.skin * 0.85)
    inside = canvas.inside(distance)
    canvas.paint(inside, face.skin)
    canvas.paint(0.35 * inside * np.clip(1 + distance / 0.3, 0, 1), face.line)


def _draw_hair(canvas: Canvas, face: SimpleNamespace, distance: np.ndarray) -> None:
    """The fringe, which lies on the turned face, and a beard."""
    u, v = canvas.u, canvas.v
    fringe = face.hair_line + face.hair_part * u + 1.1 * np.square(u * u)
    canvas.paint((1.0 - face.bald) * canvas.inside(np.maximum(distance - 0.03, v - fringe)), face.hair)
    _, mouth, _ = mouth_line(face)
    cheek = 0.4 - 0.4 * np.hypot(u / (0.75 * face.head_width), (v - 0.1) / (mouth - 0.02))
    beard = np.maximum(cheek, 0.15 - v)
    moustache = np.hypot(u / 0.27, (v - (face.nose_y + 0.6 * (mouth - face.nose_y)) - u * u) / 0.09) * 0.12 - 0.12
    soft = np.clip(0.5 - np.minimum(beard, moustache) / 0.1, 0, 1)
    canvas.paint(face.bearded * face.beard_tone * canvas.inside(distance) * soft, face.hair)


def _draw_forehead(canvas: Canvas, face: SimpleNamespace) -> None:
    """Lines across the forehead where brows go up, and furrows between brows that are drawn together."""
    u, v, brow = canvas.u, canvas.v, face.eye_y - face.brow_gap
    raised = np.clip(np.maximum(face.inner_up, face.outer_up), 0, 1) * face.crease
    for above in (0.17, 0.25):
        line = canvas.stroke(v - (brow - above - 0.15 * u * u), 0.012)
        canvas.paint(0.5 * raised * line * canvas.inside(np.abs(u) - 0.3), face.line)
    drawn = np.clip(face.brow_down, 0, 1) * face.crease
    furrow = canvas.stroke(np.abs(u) - 0.045, 0.012) * canvas.inside(np.abs(v - brow - 0.06) - 0.08)
    canvas.paint(0.8 * drawn * furrow, face.line)
