"""Eyes, brows, nose, mouth and folds: the parts that an expression moves."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from .canvas import BLACK, WHITE, Canvas, mouth_line, nose_tip


def draw_eye(canvas: Canvas, face: SimpleNamespace, side: int) -> None:
    """Brow, lids, iris and the cheek below, ``out`` being the direction away from the nose."""
    out, v = side * canvas.u - face.eye_x, canvas.v - face.eye_y
    _draw_brow(canvas, face, out, v)
    t = np.clip(out / face.eye_width, -1, 1)
    bow, slant = 1 - t * t, -face.eye_slant * t
    half = face.eye_open * np.clip(1 + 0.75 * face.lids, 0.2, 1.8)
    frown = 0.035 * np.clip(face.brow_down, 0, 1.2) * (0.6 - t)  # lowered brows press on the inner lid
    droop = 0.03 * np.clip(face.inner_up - face.outer_up - 0.6, 0, 1) * (0.5 + t)
    upper = slant - bow * np.maximum(1.15 * half - frown - droop, 0.012)
    lower = slant + bow * np.maximum(0.8 * half - 0.035 * np.clip(face.cheeks, -1, 1), 0.008)
    beside = np.abs(out) - face.eye_width
    opening = canvas.inside(np.maximum(np.maximum(upper - v, v - lower), beside))
    canvas.paint(opening, WHITE)
    iris_x, iris_y = out - side * face.gaze, v + 0.2 * half
    radius = np.hypot(iris_x, iris_y)
    canvas.paint(opening * canvas.inside(radius - 0.078), face.iris)
    canvas.paint(opening * canvas.inside(radius - 0.038), BLACK)
    canvas.paint(opening * canvas.inside(np.hypot(iris_x + 0.03 * side, iris_y + 0.03) - 0.018), WHITE)
    lash = canvas.inside(beside - 0.01)
    canvas.paint(0.9 * lash * canvas.stroke(v - upper, 0.016), face.line * 0.4)
    canvas.paint(0.5 * lash * canvas.stroke(v - lower, 0.009), face.line)
    canvas.paint(0.45 * lash * canvas.stroke(v - upper + 0.05, 0.01), face.line)
    raised = np.clip(face.cheeks, 0, 1) * face.crease
    canvas.paint(0.6 * raised * lash * canvas.stroke(v - lower - 0.06 - 0.03 * bow, 0.012), face.line)
    canvas.paint(0.35 * raised * np.clip(1.2 - np.hypot(out / 0.17, (v - 0.25) / 0.11), 0, 1), face.lip)


def _draw_brow(canvas: Canvas, face: SimpleNamespace, out: np.ndarray, v: np.ndarray) -> None:
    """A line that tapers outwards, its two ends and its arch moved by the brow's action units."""
    start, end = -0.16 - 0.055 * face.brow_down, 0.2 - 0.01 * face.brow_down
    inner = -face.brow_gap - 0.11 * face.inner_up + 0.1 * face.brow_down
    outer = -face.brow_gap - 0.1 * face.outer_up + 0.03 * face.brow_down
    t = (out - start) / (end - start)
    arch = face.brow_arch + 0.02 * face.outer_up - 0.03 * face.brow_down
    middle = inner + (outer - inner) * t - arch * 4 * t * (1 - t)
    half = face.brow_thickness * (1 - 0.55 * np.clip(t, 0, 1) ** 2)
    ends = canvas.inside((np.abs(t - 0.5) - 0.5) * (end - start))
    canvas.paint(0.9 * ends * canvas.stroke(v - middle, half), face.hair * 0.7)


def draw_nose(canvas: Canvas, face: SimpleNamespace) -> None:
    """Bridge, tip, wings and nostrils; wrinkling raises the wings and folds the bridge."""
    tip_u, tip_v = nose_tip(face)
    bridge_v = face.eye_y + 0.02
    t = np.clip((canvas.v - bridge_v) / (tip_v - bridge_v), 0, 1)
    u, v = canvas.u - tip_u * t, canvas.v - tip_v
    width = face.nose_width * (1 + 0.2 * np.clip(face.wrinkle, 0, 1))
    along = canvas.inside(np.maximum(bridge_v - canvas.v, v))
    canvas.paint(0.3 * along * canvas.stroke(np.abs(u) - 0.06 - 0.04 * t, 0.014), face.line)
    canvas.paint(0.3 * np.clip(1.3 - np.hypot(u / 0.07, (v + 0.02) / 0.07), 0, 1), WHITE)
    wing = np.hypot(np.abs(u) - width + 0.05, v - 0.01) - 0.055
    canvas.paint(0.6 * canvas.stroke(wing, 0.013) * canvas.inside(width - 0.045 - np.abs(u)), face.line)
    canvas.paint(
        0.7 * canvas.inside((np.hypot((np.abs(u) - 0.05) / 0.035, (v - 0.05) / 0.02) - 1) * 0.02), face.line * 0.5
    )
    canvas.paint(0.4 * canvas.stroke(v - 0.075 + 2 * u * u, 0.013) * canvas.inside(np.abs(u) - 0.08), face.line)
    folded = np.clip(face.wrinkle, 0, 1) * face.crease
    for above in (0.13, 0.2, 0.27):
        fold = canvas.stroke(v + above - 0.5 * np.abs(u), 0.013) * canvas.inside(np.abs(u) - 0.1)
        canvas.paint(0.75 * folded * fold, face.line)


def draw_mouth(canvas: Canvas, face: SimpleNamespace) -> None:
    """Lips, what an open mouth shows, and the folds from the nose to the mouth."""
    u, v = canvas.u, canvas.v
    width, middle, corner = mouth_line(face)
    t = np.clip(u / width, -1, 1)
    bow = 1 - t * t
    seam, arch = corner + (middle - corner) * bow, np.sqrt(bow)
    open_up, open_down = _mouth_opening(face)
    top, bottom = seam - open_up * arch, seam + open_down * arch
    thickness = face.lips * (1 - 0.8 * np.clip(face.press, 0, 1.1)) * bow
    dip = 1 - 0.4 * np.maximum(1 - np.abs(t) / 0.3, 0)  # the cupid's bow
    beside = np.abs(u) - width
    lips = np.maximum(np.maximum(top - thickness * dip - v, v - bottom - 1.35 * thickness), beside)
    canvas.paint(canvas.inside(lips), face.lip)
    hole = np.maximum(np.maximum(top - v, v - bottom), beside)
    is_open = np.clip((open_up + open_down) / 0.03 - 0.5, 0, 1)
    canvas.paint(is_open * canvas.inside(hole), face.line * 0.3)
    tongue = np.maximum(hole, bottom - 0.07 - v)
    canvas.paint(0.8 * np.clip(face.jaw, 0, 1) * canvas.inside(tongue), face.lip * 0.8)
    teeth = np.maximum(hole + 0.008, v - top - 0.1 * np.clip(face.teeth, 0, 1))
    canvas.paint(is_open * np.clip(3 * face.teeth, 0, 1) * canvas.inside(teeth), WHITE)
    line = np.hypot(v - seam, np.maximum(beside, 0))
    canvas.paint(0.85 * (1 - is_open) * canvas.stroke(line, 0.014), face.line * 0.6)
    canvas.paint(0.8 * canvas.inside(np.hypot(np.abs(u) - width, v - corner) - 0.024), face.line * 0.6)
    canvas.paint(
        0.3 * canvas.stroke(v - bottom - 1.35 * thickness - 0.05, 0.02) * canvas.inside(beside + 0.12), face.line
    )
    _draw_folds(canvas, face, width, corner)


def _mouth_opening(face: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """How far the lips part above and below the line of the closed mouth."""
    jaw, lip = np.maximum(face.jaw - 0.04, 0), np.maximum(face.upper_lip - 0.1, 0)
    return 0.04 * jaw + 0.055 * lip, 0.23 * jaw


def _draw_folds(canvas: Canvas, face: SimpleNamespace, width: np.ndarray, corner: np.ndarray) -> None:
    """The nasolabial folds, deep in smiles and disgust."""
    depth = np.clip(np.maximum(face.corners, face.wrinkle) + 0.15, 0, 1) * face.crease
    start = face.nose_y - 0.03
    t = (canvas.v - start) / (corner + 0.03 - start)
    fold = face.nose_width + 0.04 + (width + 0.07 - face.nose_width - 0.04) * t + 0.12 * t * (1 - t)
    within = canvas.inside((np.abs(t - 0.5) - 0.5) * 0.4)
    canvas.paint(0.65 * depth * within * canvas.stroke(np.abs(canvas.u) - fold, 0.014), face.line)
