"""From a dataset's list to faces in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm  # type: ignore[import-untyped]

from ..util.errors import UserError
from .crops import pad_box
from .faces import FaceSet
from .readers.listing import Sample

#: Images with more pixels are taken for a decompression bomb and not opened.
MAX_PIXELS = 50_000_000

#: What is looked for in an image file, whatever its name ends in. Others have no business among faces, and some of
#: them (EPS) are given to other programs to be drawn.
_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


class BrokenImageError(ValueError):
    """An image that can't be read; says why in one line."""


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

    A face whose box the dataset gives is cut out with the protocol's padding; of other images it is the centre square.

    Args:
        samples: from a reader.
        labels: the class of each.
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
            images[index] = _to_array(open_image(sample), sample, size_px)
        except ValueError as error:
            return BadImage(sample.name, str(error))
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
    faces = FaceSet(
        images=images if kept.all() else images[kept],
        landmarks=np.full((int(kept.sum()), 5, 2), np.nan, dtype=np.float32),
        labels=np.array(labels, dtype=np.int64)[kept],
        names=tuple(s.name for s, k in zip(samples, kept, strict=True) if k),
    )
    return faces, bad


def open_image(sample: Sample) -> Image.Image:
    """The image of a sample, upright and RGB, whatever its mode (gray, palette, 16 bits, CMYK, transparent).

    Raises:
        BrokenImageError: it can't be read.
    """
    if sample.pixels is not None:
        return Image.fromarray(sample.pixels).convert("RGB")
    if sample.content is not None:
        return _decoded(sample.content)
    assert sample.path is not None
    return read_image(sample.path)


def read_image(path: Path) -> Image.Image:
    """An image file as :func:`open_image` gives it.

    Raises:
        BrokenImageError: it can't be read.
    """
    return _decoded(lambda: read_file(path))


def _decoded(read: Callable[[], bytes]) -> Image.Image:
    try:
        with Image.open(io.BytesIO(read()), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
            if image.mode.startswith("I;16"):
                image = image.point(lambda value: value / 256).convert("L")
            return ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # a file that is not what it seems can make the decoders raise anything
        raise BrokenImageError(_reason(error)) from None


def read_file(path: Path) -> bytes:
    """The content of a regular file; a pipe or a device, which may never end, is none.

    Raises:
        OSError: it can't be read.
    """
    if path.exists() and not path.is_file():
        raise OSError("not a file")
    return path.read_bytes()


def raw_bytes(sample: Sample) -> bytes:
    """What a sample's image is made from: the file's content, or its pixels."""
    if sample.pixels is not None:
        return sample.pixels.tobytes()
    if sample.content is not None:
        return sample.content()
    assert sample.path is not None
    return read_file(sample.path)


def _reason(error: BaseException) -> str:
    """One line on why an image could not be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read"
    if isinstance(error, Image.DecompressionBombError):
        return f"its pixels are more than {MAX_PIXELS:,}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _to_array(image: Image.Image, sample: Sample, size_px: int) -> NDArray[np.uint8]:
    """``(3, size_px, size_px)`` uint8."""
    if sample.box is not None:
        box = pad_box(sample.box, *image.size)
    else:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
    image = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)
    pixels: NDArray[np.uint8] = np.asarray(image).transpose(2, 0, 1)
    return pixels
