"""Decodes a dataset's list into faces in memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..util.bars import tqdm
from ..util.errors import DiskError, UserError
from ..util.patience import PatientFile
from .crops import centre_square, pad_box
from .faces import FaceSet
from .memory import PREDICT_BYTES
from .photograph import BrokenImageError as BrokenImageError
from .photograph import Photograph
from .readers.listing import Sample

#: Of images in files larger than this, only two are decoded at a time, to bound memory.
_LARGE_BYTES = 2_000_000
_large = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read, and why."""

    name: str
    reason: str


def decode_samples(
    samples: Sequence[Sample],
    labels: Sequence[int],
    size_px: int,
    *,
    on_bad_image: str = "skip",
    title: str = "reading",
) -> tuple[FaceSet, list[BadImage]]:
    """Opens, crops and resizes images; landmarks are unknown (NaN).

    If the dataset gives a face's box, it is cropped with the protocol's padding; otherwise the centre square is used.

    Args:
        samples: from a reader.
        labels: the class of each.
        size_px: side of the faces.
        on_bad_image: "skip" leaves out images that can't be read and lists them; "error" stops at the first.
        title: of the progress bar.

    Returns:
        The faces in the order of ``samples``, and the images that were left out.

    Raises:
        UserError: an image can't be read and ``on_bad_image`` is "error", or none could be read.
        DiskError: the disk failed, which says nothing about the images.
    """
    if on_bad_image not in ("skip", "error"):
        raise UserError(f"{on_bad_image=}: must be skip or error")
    images = np.empty((len(samples), 3, size_px, size_px), dtype=np.uint8)
    kept = np.zeros(len(samples), dtype=bool)
    bad: list[BadImage] = []

    def decode(item: tuple[int, Sample]) -> BadImage | None:
        index, sample = item
        try:
            images[index] = _to_array(sample, size_px)
        except DiskError:
            raise
        except ValueError as error:
            return BadImage(sample.name, str(error))
        kept[index] = True
        return None

    with ThreadPoolExecutor() as pool:
        results = pool.map(decode, enumerate(samples), chunksize=64)
        try:
            for problem in tqdm(results, total=len(samples), desc=title, unit="face", disable=None, leave=False):
                if problem is None:
                    continue
                if on_bad_image == "error":
                    raise UserError(f"{problem.name}: {problem.reason} (--on-bad-image skip leaves such images out)")
                bad.append(problem)
        except UserError:
            pool.shutdown(cancel_futures=True)
            raise
    if not kept.any():
        raise UserError(f"none of {len(samples)} images could be read; the first: {bad[0].name}: {bad[0].reason}")
    faces = FaceSet(
        images=images if kept.all() else images[kept],
        landmarks=np.full((int(kept.sum()), 5, 2), np.nan, dtype=np.float32),
        labels=np.array(labels, dtype=np.int64)[kept],
        names=tuple(s.name for s, k in zip(samples, kept, strict=True) if k),
    )
    return faces, bad


def photograph_of(sample: Sample, most_bytes: int = PREDICT_BYTES) -> tuple[Photograph, Sample]:
    """Opens a sample's image; returns it, and the sample with box and points in pixels of the upright image.

    Boxes and points of a dataset's list are taken to be in pixels of the image as stored, before its EXIF orientation
    is applied, as in CD-FER's loader.

    Args:
        sample: of a dataset.
        most_bytes: see :class:`.Photograph`.

    Raises:
        BrokenImageError: the image can't be read.
        DiskError: the disk failed.
    """
    source = next(s for s in (sample.pixels, sample.content, sample.path) if s is not None)
    photograph = Photograph(source, most_bytes)
    turn = photograph.orientation
    if turn.tag == 1 or (sample.box is None and sample.landmarks is None):
        return photograph, sample
    box = sample.box and turn.box(sample.box)
    points = None if sample.landmarks is None else turn.face(sample.landmarks)
    return photograph, replace(sample, box=box, landmarks=points)


def read_file(path: Path) -> bytes:
    """The content of a regular file; pipes and devices, which may never end, are refused.

    Raises:
        DiskError: the disk failed.
        OSError: the file can't be read, or is not a regular file.
    """
    with PatientFile(path) as file:
        return file.readall()


def raw_bytes(sample: Sample) -> bytes:
    """The bytes of a sample's image: the file's content, or its pixels."""
    if sample.pixels is not None:
        return sample.pixels.tobytes()
    if sample.content is not None:
        return sample.content()
    assert sample.path is not None
    return read_file(sample.path)


def _to_array(sample: Sample, size_px: int) -> NDArray[np.uint8]:
    """A sample's crop ``(3, size_px, size_px)`` uint8, RGB."""
    with _large if _is_large(sample) else contextlib.nullcontext():
        photograph, sample = photograph_of(sample)
        region = pad_box(sample.box, *photograph.size) if sample.box is not None else centre_square(photograph)
        return photograph.region(region, np.zeros((5, 2)), size_px).image


def _is_large(sample: Sample) -> bool:
    try:
        return sample.path is not None and sample.path.stat().st_size > _LARGE_BYTES
    except OSError:  # reading the file will report why
        return False
