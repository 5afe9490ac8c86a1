"""Makes one chunk of a store in a worker process: detects and crops its faces, and writes them to a file."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...util.errors import DiskError
from ...util.files import write_atomic
from ...util.forks import start_server, start_tracker
from ...util.stops import SIGNALS
from ..crops import Box, Picture, pad_box, typical_points, whole_image
from ..decode import photograph_of
from ..detect import Detection, FaceDetector
from ..memory import PREPARE_BYTES
from ..photograph import BrokenImageError, Photograph, picture_px
from ..protocol import CLOSE_PX
from ..readers.listing import Sample
from .settings import PrepareSettings

_BATCH = 32  #: most images searched for faces at a time
_HELD_BYTES = 32 << 20  #: once the open images take more memory than this, no further one joins the batch

_detector: FaceDetector | None = None

#: Position in the chunk, image ``(3, P, P)``, landmarks ``(5, 2)``, box, confidence.
_Row = tuple[int, np.ndarray, np.ndarray, Box, float]


@dataclass(frozen=True)
class Found:
    """A sample's face, before it is cropped."""

    box: Box  #: in pixels of the image
    points: np.ndarray | None  #: ``(5, 2)`` in pixels of the image; None if none was found
    confidence: float


def worker_context(device: str) -> BaseContext:
    """The way to start worker processes.

    On Linux they are forked from one process that has imported PyTorch, and share its 400 MB. A process that uses a
    GPU, or runs on macOS, can't be forked safely.
    """
    if sys.platform == "linux":
        start_tracker()
    forked = device == "cpu" and sys.platform == "linux" and start_server([__name__])
    return multiprocessing.get_context("forkserver" if forked else "spawn")


def start_worker(device: str, detect_px: int) -> None:
    """Makes a worker's detector; the worker ends when its parent does, even if that was killed."""
    global _detector
    for number in {*SIGNALS} - {signal.SIGTERM}:  # by which the pool ends its workers
        signal.signal(number, signal.SIG_IGN)  # the parent handles them, and lets chunks in progress finish
    torch.set_num_threads(1)  # results must not depend on the number of processes
    _detector = FaceDetector(device, detect_px)
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def make_chunk(path: Path, samples: Sequence[Sample], settings: PrepareSettings) -> int:
    """Writes the file of a chunk: arrays of the kept faces, and the reasons why others were left out.

    Returns:
        The number of samples.

    Raises:
        DiskError: the disk failed; no file is written then.
    """
    done = _Chunk(settings)
    batch: list[_Opened] = []
    for index, sample in enumerate(samples):
        try:
            batch.append(_Opened.of(index, sample, settings))
        except DiskError:
            raise
        except ValueError as error:
            done.leave_out(index, error)
        if len(batch) == _BATCH or sum(opened.held for opened in batch) > _HELD_BYTES:
            done.add(batch)
            batch.clear()  # frees the memory before the next image, which may be large, is opened
    done.add(batch)
    _write(path, done, settings.crop_px)
    return len(samples)


@dataclass
class _Opened:
    """A sample in memory, with the picture to search for its face."""

    index: int
    sample: Sample  #: in the frame of the upright photograph
    photograph: Photograph
    picture: Picture | None  #: None if the dataset gives the points

    @classmethod
    def of(cls, index: int, sample: Sample, settings: PrepareSettings) -> _Opened:
        photograph, sample = photograph_of(sample, PREPARE_BYTES)
        if sample.box is not None and (sample.landmarks is None or settings.crop == "cdfer"):
            pad_box(sample.box, *photograph.size)  # a box outside the image fails here, before detection
        if sample.landmarks is not None:
            return cls(index, sample, photograph, None)
        region = _around(sample.box, photograph) if sample.box else None
        side = picture_px(settings.crop_px, settings.detect_px)
        return cls(index, sample, photograph, photograph.near(side, region))

    @property
    def held(self) -> int:
        """Approximate bytes in memory."""
        picture = 4 * self.picture.image.width * self.picture.image.height if self.picture else 0
        return self.photograph.held + picture

    @property
    def close(self) -> bool:
        """Whether the picture is a crop of a face."""
        return self.sample.whole or self.sample.box is not None or max(self.photograph.size) <= CLOSE_PX


class _Chunk:
    """The outcome of a chunk's samples: each becomes a row, or is left out for one reason."""

    def __init__(self, settings: PrepareSettings) -> None:
        self.settings = settings
        self.rows: list[_Row] = []
        self.missing: list[int] = []  #: without a detected face; those that are also rows have typical points
        self.bad: list[tuple[int, str]] = []  #: unreadable
        self.misplaced: list[tuple[int, str]] = []  #: the dataset's box or points don't fit the image

    def add(self, batch: Sequence[_Opened]) -> None:
        """Detects and crops the faces of some samples."""
        for opened, face in zip(batch, _find(batch, self.settings), strict=True):
            if face.points is None and self.settings.on_missing != "whole":
                self.missing.append(opened.index)
                continue
            try:
                image_px, landmarks = _cut(opened, face, self.settings)
            except DiskError:
                raise
            except ValueError as error:
                self.leave_out(opened.index, error)
                continue
            if face.points is None:
                self.missing.append(opened.index)
            self.rows.append((opened.index, image_px, landmarks, face.box, face.confidence))

    def leave_out(self, index: int, error: ValueError) -> None:
        """Notes why a sample is left out."""
        (self.bad if isinstance(error, BrokenImageError) else self.misplaced).append((index, str(error)))


def _cut(opened: _Opened, face: Found, settings: PrepareSettings) -> tuple[np.ndarray, np.ndarray]:
    if face.points is None:
        points = typical_points(settings.crop, settings.crop_px)
        mode = "none" if settings.crop == "none" or opened.sample.box is None else "cdfer"
        return opened.photograph.face(face.box, points, mode, settings.crop_px).image, points
    return opened.photograph.face(face.box, face.points, settings.crop, settings.crop_px)


def _find(batch: Sequence[_Opened], settings: PrepareSettings) -> list[Found]:
    """The face of each image, with one detector call for all images whose points the dataset does not give."""
    assert _detector is not None
    wanted = [(opened, opened.picture) for opened in batch if opened.picture is not None]
    detections = iter(_detector.detect([picture.image for _, picture in wanted], [o.close for o, _ in wanted]))
    found = []
    for opened in batch:
        sample, photograph = opened.sample, opened.photograph
        if opened.picture is None:
            found.append(Found(sample.box or whole_image(photograph), sample.landmarks, float("nan")))
        else:
            faces = [_in_photograph(face, opened.picture) for face in next(detections)]
            inside = [face for face in faces if _lies_in(face.box, photograph)]
            found.append(_choose(sample, photograph, inside, settings.face))
    return found


def _choose(sample: Sample, photograph: Photograph, faces: list[Detection], rule: str) -> Found:
    given = sample.box or (whole_image(photograph) if sample.whole else None)
    if given is not None:
        faces = [face for face in faces if _overlap(face.box, given) > 0]
        best = max(faces, key=lambda face: _overlap(face.box, given), default=None) if sample.box else _first(faces)
        return Found(given, best and best.points, best.confidence if best else float("nan"))
    best = max(faces, key=lambda face: _area(face.box), default=None) if rule == "largest" else _first(faces)
    if best is None:
        return Found(whole_image(photograph), None, float("nan"))
    return Found(best.box, best.points, best.confidence)


def _first(faces: list[Detection]) -> Detection | None:
    return faces[0] if faces else None


def _lies_in(box: Box, photograph: Photograph) -> bool:
    """Whether enough of a box lies in the image to crop."""
    try:
        return bool(pad_box(box, *photograph.size))
    except ValueError:
        return False


def _around(box: Box, photograph: Photograph) -> Box:
    """A box enlarged by a quarter of its sides in every direction, clipped to the image."""
    across, along = (box[2] - box[0]) / 4, (box[3] - box[1]) / 4
    left, top = max(0, int(box[0] - across)), max(0, int(box[1] - along))
    width, height = photograph.size
    right, bottom = min(width, int(box[2] + across)), min(height, int(box[3] + along))
    return (float(left), float(top), float(right), float(bottom))


def _in_photograph(face: Detection, picture: Picture) -> Detection:
    """Converts a detection from pixels of a picture to pixels of the photograph."""
    left, top, right, bottom = picture.to_photograph(np.reshape(face.box, (2, 2))).ravel().tolist()
    points = picture.to_photograph(face.points).astype(np.float32)
    return Detection((left, top, right, bottom), points, face.confidence)


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    shared = _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    union = _area(a) + _area(b) - shared
    return shared / union if union else 0.0


def _write(path: Path, chunk: _Chunk, size_px: int) -> None:
    rows, n = chunk.rows, len(chunk.rows)
    notes = {"missing": chunk.missing, "bad": sorted(chunk.bad), "misplaced": sorted(chunk.misplaced)}
    arrays: dict[str, Any] = {
        "index": np.array([row[0] for row in rows], dtype=np.int64),
        "images": np.array([row[1] for row in rows], dtype=np.uint8).reshape(n, 3, size_px, size_px),
        "landmarks": np.array([row[2] for row in rows], dtype=np.float32).reshape(n, 5, 2),
        "boxes": np.array([row[3] for row in rows], dtype=np.float32).reshape(n, 4),
        "confidence": np.array([row[4] for row in rows], dtype=np.float32),
        "notes": np.frombuffer(json.dumps(notes).encode(), dtype=np.uint8),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomic(path, lambda file: file.write(buffer.getvalue()))
