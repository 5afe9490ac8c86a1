"""From a dataset's list to faces in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..errors import UserError
from .faces import FaceSet
from .readers import Sample

#: Images with more pixels are taken for a decompression bomb and not opened.
MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class BadImage:
    """An image that could not be read, and why."""

    name: str
    reason: str


def decode_samples(
    samples: Sequence[Sample], size_px: int, *, on_bad_image: str = "skip", title: str = "reading"
) -> tuple[FaceSet, list[BadImage]]:
    """Opens, crops to the centre square and resizes images; landmarks are unknown (NaN).

    Args:
        samples: from a reader.
        size_px: the side of the result.
        on_bad_image: "skip" leaves out images that can't be read and lists them; "error" stops at the first.
        title: of the progress bar.

    Returns:
        The faces in the order of ``samples``, and the images that were left out.

    Raises:
        UserError: an image can't be read and ``on_bad_image`` is "error", or none could be read.
    """
    if on_bad_image not in ("skip", "error"):
        raise UserError(f"{on_bad_image=}: must be skip or error")
    images = np.empty((len(samples), 3, size_px, size_px), dtype=np.uint8)
    kept = np.zeros(len(samples), dtype=bool)
    bad: list[BadImage] = []

    def decode(item: tuple[int, Sample]) -> BadImage | None:
        index, sample = item
        try:
            images[index] = load_image(sample, size_px)
        except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: Pillow's word for a broken PNG
            return BadImage(sample.name, _reason(error))
        kept[index] = True
        return None

    with ThreadPoolExecutor() as pool:
        results = pool.map(decode, enumerate(samples), chunksize=64)
        for problem in tqdm(results, total=len(samples), desc=title, unit="face", disable=None, leave=False):
            if problem is None:
                continue
            if on_bad_image == "error":
                pool.shutdown(cancel_futures=True)
                raise UserError(f"{problem.name}: {problem.reason} (--on-bad-image skip leaves such images out)")
            bad.append(problem)
    if not kept.any():
        raise UserError(f"none of {len(samples)} images could be read; the first: {bad[0].name}: {bad[0].reason}")
    chosen = [s for s, k in zip(samples, kept, strict=True) if k]
    faces = FaceSet(
        images=images if kept.all() else images[kept],
        landmarks=np.full((len(chosen), 5, 2), np.nan, dtype=np.float32),
        labels=np.array([s.label for s in chosen], dtype=np.int64),
        names=tuple(s.name for s in chosen),
    )
    return faces, bad


def load_image(sample: Sample, size_px: int) -> np.ndarray:
    """The centre square of an image as ``(3, size_px, size_px)`` uint8, RGB.

    Raises:
        OSError, ValueError: the image can't be read.
    """
    if sample.pixels is not None:
        return _to_array(Image.fromarray(sample.pixels), size_px)
    assert sample.path is not None
    with Image.open(sample.path) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        return _to_array(image, size_px)


def _to_array(image: Image.Image, size_px: int) -> np.ndarray:
    image = image.convert("RGB")  # palette modes included
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if (side, side) != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)
    else:
        image = image.crop(box)
    return np.asarray(image).transpose(2, 0, 1)  # (3, P, P)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image that can be read"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
