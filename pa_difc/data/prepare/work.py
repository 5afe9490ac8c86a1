"""One chunk of a store: faces found, cut out and written as a file of its own, in a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...util.files import write_atomic
from ..crops import Box, cut_face, typical_points, whole_image
from ..decode import BrokenImageError, open_image
from ..detect import Detection, FaceDetector
from ..readers.listing import Sample
from .settings import PrepareSettings

#: Images with a longer side of at most this are taken for crops of faces.
_CLOSE_PX = 128
_BATCH = 32  #: images decoded and searched at a time

_detector: FaceDetector | None = None

#: Position in the chunk, image, landmarks, box, confidence.
_Row = tuple[int, np.ndarray, np.ndarray, Box, float]


@dataclass(frozen=True)
class Found:
    """A sample's face, before it is cut out."""

    box: Box  #: in pixels of the image
    points: np.ndarray | None  #: ``(5, 2)`` in pixels of the image; None for typical ones
    confidence: float


def start_worker(device: str, detect_px: int) -> None:
    """Makes a process's detector; the process ends when its parent is gone, even if that was killed."""
    global _detector
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: chunks that were begun are finished
    torch.set_num_threads(1)  # results must not depend on how many processes there are
    _detector = FaceDetector(device, detect_px)
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def make_chunk(path: Path, samples: Sequence[Sample], settings: PrepareSettings) -> int:
    """Makes the file of a chunk: arrays of the kept faces, and why the others are not there.

    Returns:
        the number of samples.
    """
    rows: list[_Row] = []
    missing: list[int] = []
    bad: list[tuple[int, str]] = []
    for start in range(0, len(samples), _BATCH):
        opened: dict[int, Image.Image] = {}
        for index in range(start, min(start + _BATCH, len(samples))):
            try:
                opened[index] = open_image(samples[index])
            except BrokenImageError as error:
                bad.append((index, str(error)))
        found = _find({i: (samples[i], image) for i, image in opened.items()}, settings)
        for index, image in opened.items():
            if (face := found[index]).points is None:
                missing.append(index)
                if settings.on_missing != "whole":
                    continue
            try:
                image_px, landmarks = _cut(image, face, settings)
            except ValueError as error:
                bad.append((index, str(error)))
                continue
            rows.append((index, image_px, landmarks, face.box, face.confidence))
    _write(path, rows, missing, bad, settings.crop_px)
    return len(samples)


def _cut(image: Image.Image, face: Found, settings: PrepareSettings) -> tuple[np.ndarray, np.ndarray]:
    if face.points is None:
        points = typical_points(settings.crop, settings.crop_px)
        mode = "none" if settings.crop == "none" else "cdfer"
        return cut_face(image, face.box, points, mode, settings.crop_px).image, points
    return cut_face(image, face.box, face.points, settings.crop, settings.crop_px)


def _find(items: dict[int, tuple[Sample, Image.Image]], settings: PrepareSettings) -> dict[int, Found]:
    """The face of each image; one detector call for all images whose points the dataset does not give."""
    assert _detector is not None
    found: dict[int, Found] = {}
    wanted: dict[int, Box] = {}  # where to look
    for index, (sample, image) in items.items():
        whole = whole_image(image)
        if sample.landmarks is not None:
            found[index] = Found(sample.box or whole, sample.landmarks, float("nan"))
        else:
            wanted[index] = _around(sample.box, image) if sample.box else whole
    regions = [
        items[i][1].crop((int(left), int(top), int(right), int(bottom)))
        for i, (left, top, right, bottom) in wanted.items()
    ]
    close = [items[i][0].whole or items[i][0].box is not None or max(items[i][1].size) <= _CLOSE_PX for i in wanted]
    detections = _detector.detect(regions, close)
    for (index, region), faces in zip(wanted.items(), detections, strict=True):
        sample, image = items[index]
        shift = np.array([int(region[0]), int(region[1])])
        found[index] = _choose(sample, image, [_moved(face, shift) for face in faces], settings.face)
    return found


def _choose(sample: Sample, image: Image.Image, faces: list[Detection], rule: str) -> Found:
    given = sample.box or (whole_image(image) if sample.whole else None)
    if given is not None:
        faces = [face for face in faces if _overlap(face.box, given) > 0]
        best = max(faces, key=lambda face: _overlap(face.box, given), default=None) if sample.box else _first(faces)
        return Found(given, best and best.points, best.confidence if best else float("nan"))
    best = max(faces, key=lambda face: _area(face.box), default=None) if rule == "largest" else _first(faces)
    if best is None:
        return Found(whole_image(image), None, float("nan"))
    return Found(best.box, best.points, best.confidence)


def _first(faces: list[Detection]) -> Detection | None:
    return faces[0] if faces else None


def _around(box: Box, image: Image.Image) -> Box:
    """A quarter of a box's sides more all around it, within the image; all of the image if the box lies outside."""
    across, along = (box[2] - box[0]) / 4, (box[3] - box[1]) / 4
    left, top = max(0, int(box[0] - across)), max(0, int(box[1] - along))
    right, bottom = min(image.width, int(box[2] + across)), min(image.height, int(box[3] + along))
    if right - left < 2 or bottom - top < 2:
        return whole_image(image)
    return (float(left), float(top), float(right), float(bottom))


def _moved(face: Detection, shift: np.ndarray) -> Detection:
    left, top, right, bottom = (np.asarray(face.box) + np.tile(shift, 2)).tolist()
    return Detection((left, top, right, bottom), (face.points + shift).astype(np.float32), face.confidence)


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    shared = _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = _area(a) + _area(b) - shared
    return shared / union if union else 0.0


def _write(path: Path, rows: list[_Row], missing: list[int], bad: list[tuple[int, str]], size_px: int) -> None:
    n = len(rows)
    arrays: dict[str, Any] = {
        "index": np.array([row[0] for row in rows], dtype=np.int64),
        "images": np.array([row[1] for row in rows], dtype=np.uint8).reshape(n, 3, size_px, size_px),
        "landmarks": np.array([row[2] for row in rows], dtype=np.float32).reshape(n, 5, 2),
        "boxes": np.array([row[3] for row in rows], dtype=np.float32).reshape(n, 4),
        "confidence": np.array([row[4] for row in rows], dtype=np.float32),
        "notes": np.frombuffer(json.dumps({"missing": missing, "bad": bad}).encode(), dtype=np.uint8),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomic(path, lambda file: file.write(buffer.getvalue()))
