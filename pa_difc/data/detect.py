"""Detects faces and their five points with facenet-pytorch's MTCNN (Zhang et al. 2016, arXiv:1604.02878)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from facenet_pytorch import MTCNN  # type: ignore[import-untyped]
from PIL import Image

from .protocol import DETECT_PX

_MAX_ENLARGEMENT = 4
_MARGIN = 0.15  #: gray border, as a share of the side: with it 91 % of 256 FER2013 faces were found, without it 84 %
_TIGHT_MARGIN = 0.04
_GRAY = 128
_AT_ONCE_PX = 1_000_000  #: pixels in the network at a time: each takes about 100 bytes, and more are no faster
_GAP = 3  #: Pillow's ``reducing_gap``: a much larger image is first reduced by a whole factor

#: Smallest face searched for: in a face's crop, as a share of the longer side; in a photograph, in scaled pixels.
_CLOSE, _FAR_PX = 0.33, 25


class Detection(NamedTuple):
    """A detected face, in pixels of the image."""

    box: tuple[float, float, float, float]  #: left, top, right, bottom; may reach beyond the image
    points: np.ndarray  #: ``(5, 2)`` float32: left eye, right eye, nose, left and right mouth corner, as seen
    confidence: float  #: MTCNN's probability


class FaceDetector:
    """MTCNN on images of any size, each scaled and padded to a square.

    On a CPU, images go through the network one by one and in one thread: batches and threads change the order of its
    sums, hence the last bits of a box, and a few pixels of the crop. So the faces of an image depend neither on other
    images nor on the process, and predictions see the very pixels that ``prepare`` stores. On a GPU, batches are
    needed for speed, and equal only up to rounding.

    Args:
        device: where it runs.
        detect_px: longer side to which images are scaled; small images are enlarged at most fourfold.
        tight: add less gray around images, which is faster, but misses faces nearly as large as their image; on a CPU,
            use all threads, since the images are large.
    """

    def __init__(self, device: torch.device | str = "cpu", detect_px: int = DETECT_PX, *, tight: bool = False) -> None:
        self.detect_px = detect_px
        self._tight = tight
        where = torch.device(device)
        self._on_cpu = where.type == "cpu"
        self._mtcnn = MTCNN(keep_all=True, select_largest=False, device=where)
        if self._on_cpu:  # makes its pooling vectorised
            self._mtcnn.to(memory_format=torch.channels_last)

    def detect(self, images: Sequence[Image.Image], close: Sequence[bool]) -> list[list[Detection]]:
        """Detects all faces of each image, the most probable first.

        Args:
            images: RGB.
            close: for each image, whether it is a crop of a face: then small faces aren't searched for, which is
                faster.
        """
        groups: dict[tuple[int, bool], list[int]] = {}
        for index, (image, near) in enumerate(zip(images, close, strict=True)):
            side = min(self.detect_px, _MAX_ENLARGEMENT * max(image.size))
            groups.setdefault((max(64, side), near), []).append(index)
        found: list[list[Detection]] = [[] for _ in images]
        for (side, near), members in groups.items():
            self._mtcnn.min_face_size = max(20, int(side * _CLOSE if near else min(side / 10, _FAR_PX)))
            at_once = 1 if self._on_cpu else max(1, int(_AT_ONCE_PX / ((1 + 2 * _MARGIN) * side) ** 2))
            for start in range(0, len(members), at_once):
                part = members[start : start + at_once]
                for index, faces in zip(part, self._batch([images[i] for i in part], side), strict=True):
                    found[index] = faces
        return found

    def _batch(self, images: list[Image.Image], side: int) -> list[list[Detection]]:
        margin = round((_TIGHT_MARGIN if self._tight else _MARGIN) * side)
        scales = [side / max(image.size) for image in images]
        sizes = [_scaled(image, scale) for image, scale in zip(images, scales, strict=True)]
        room = (max(w for w, _ in sizes), max(h for _, h in sizes)) if self._tight else (side, side)
        canvases = [_canvas(image, size, room, margin) for image, size in zip(images, sizes, strict=True)]
        try:
            with _threads(1 if self._on_cpu and not self._tight else torch.get_num_threads()):
                boxes, probs, points = self._mtcnn.detect(canvases, landmarks=True)
        except RuntimeError:
            # facenet-pytorch concatenates an empty list if all candidates of a batch lie outside their images. For a
            # single image that means no face.
            if len(images) == 1:
                return [[]]
            return [self._batch([image], side)[0] for image in images]
        found = zip(boxes, probs, points, scales, strict=True)
        return [list(_faces(b, p, five, margin, scale)) for b, p, five, scale in found]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Runs PyTorch with a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scaled(image: Image.Image, scale: float) -> tuple[int, int]:
    return max(1, round(scale * image.width)), max(1, round(scale * image.height))


def _canvas(image: Image.Image, size: tuple[int, int], room: tuple[int, int], margin: int) -> Image.Image:
    canvas = Image.new("RGB", (room[0] + 2 * margin, room[1] + 2 * margin), (_GRAY,) * 3)
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=_GAP), (margin, margin))
    return canvas


def _faces(boxes: Any, probs: Any, points: Any, margin: int, scale: float) -> Iterator[Detection]:
    """Converts MTCNN's output for one image (None if it found nothing) to pixels of the image."""
    if boxes is None:
        return
    for i in np.argsort([-float(p) for p in probs], kind="stable"):
        box = (np.asarray(boxes[i], dtype=np.float64) - margin) / scale
        marks = (np.asarray(points[i], dtype=np.float64) - margin) / scale
        if np.isfinite(box).all() and np.isfinite(marks).all():
            left, top, right, bottom = (float(b) for b in box)
            yield Detection((left, top, right, bottom), marks.astype(np.float32), float(probs[i]))
