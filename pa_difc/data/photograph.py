"""Reads photographs, whole or in part, upright and in RGB, at no more than the resolution that is needed.

A photograph of 48 megapixels takes 200 MB in memory, and four times that while it is turned and converted. No face
needs them: JPEG files are decoded at a half, a quarter or an eighth of their size, others are reduced strip by strip.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from math import ceil, floor
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..util.errors import DiskError
from ..util.patience import PatientFile, is_fault
from .crops import Box, Crop, Picture, cut_face, cut_region, region_of, whole_image
from .formats import HEAD_BYTES, decodable, image_format, why_left_out
from .heif import DecodedRows, decoded_rows
from .memory import PREDICT_BYTES, needed, refusal
from .orientation import Orientation, orientation_of, turned_by_pillow
from .pixels import Pixels
from .protocol import DETECT_PX
from .undecoded import DRAFTS, MAX_PIXELS, undecoded

_AT_ONCE = 1 << 20  #: images with at most this many pixels are loaded when they are opened, and never reduced
_FINER = 2  #: a face is cropped from a picture with at least this many times the crop's resolution
_SEARCHED = 3  #: a picture to search has at least this many times the detector's resolution,
_FACE = 0.12  #: and is fine enough to crop faces of this share of its width; for smaller ones the file is read again
_SMALLEST_DRAFT = 8
_HOLDING = ("WEBP", "AVIF", "HEIF")  #: formats whose decoders keep buffers as long as the image exists


def picture_px(crop_px: int, detect_px: int = DETECT_PX) -> int:
    """The longer side of the picture in which faces are searched, fine enough to crop most of them from too.

    Args:
        crop_px: side of the face crops.
        detect_px: longer side to which the picture is scaled for the detector.
    """
    return max(_SEARCHED * detect_px, int(_FINER * crop_px / _FACE))


class BrokenImageError(ValueError):
    """An image can't be read; the message says why in one line."""


class Photograph:
    """An image whose pixels are read only when they are needed.

    Args:
        source: a file, a function that returns a file's content, a PIL image, or ``(H, W)`` or ``(H, W, 3)`` uint8
            pixels.
        most_bytes: an image whose decoding takes more memory than this is refused.

    Attributes:
        orientation: how the image is stored; its dataset's boxes and points are in pixels of the stored image.
        size: width and height, upright.

    Raises:
        BrokenImageError: the image can't be read. The methods raise it too.
        DiskError: the disk failed, which says nothing about the image. The methods raise it too.
    """

    def __init__(
        self, source: Path | Callable[[], bytes] | Image.Image | np.ndarray, most_bytes: int = PREDICT_BYTES
    ) -> None:
        self._source, self._most_bytes = source, most_bytes
        self._pixels: Pixels | None = None
        self._factor = 1  #: by which the loaded pixels are reduced
        self._redecodes = False  #: whether it is decoded at the size that is needed
        if isinstance(source, np.ndarray):
            self._pixels = Pixels(Image.fromarray(source))
            self.orientation = self._frame = Orientation(1, self._pixels.image.size)
        elif not isinstance(source, Image.Image):
            self._read(None)
        elif (content := undecoded(source)) is not None:
            self._source = lambda: content
            self._read(None)
        else:
            self._take(source)
        self.size = self.orientation.upright

    @property
    def held(self) -> int:
        """Bytes of the loaded pixels."""
        return self._pixels.held if self._pixels else 0

    def picture(self, factor: int = 1, region: Box | None = None) -> Picture:
        """The photograph, or a part of it, reduced by a factor.

        Args:
            factor: side of the picture's pixels in pixels of the photograph; a power of 2.
            region: in pixels of the upright photograph, extended to whole pixels of the picture; None for all of it.
        """
        pixels = self._loaded(factor)
        rest = factor // self._factor
        left, top, right, bottom = self._frame.back(region or whole_image(self))
        x, width = _cells(left, right, self._frame.size[0], factor)
        y, height = _cells(top, bottom, self._frame.size[1], factor)
        box = (x * rest, y * rest, (x + width) * rest, (y + height) * rest)
        image = self._frame.turn(pixels.part(box, rest))
        corner = self._frame.box((x * factor, y * factor, (x + width) * factor, (y + height) * factor))
        return Picture(image, self.size, corner[:2], factor)

    def near(self, px: int, region: Box | None = None) -> Picture:
        """The smallest picture whose longer side has at least ``px`` pixels, or the full resolution if that is lower.

        Args:
            px: pixels of the longer side.
            region: see :meth:`picture`.
        """
        left, top, right, bottom = region or whole_image(self)
        return self.picture(_power_of_two(max(right - left, bottom - top) / px), region)

    def face_factor(self, box: Box, points: np.ndarray, mode: str, size_px: int) -> int:
        """The factor by which a large JPEG file is reduced when it is decoded for a face's crop.

        It is that of the search for faces by default, or less for a small face, whatever was read of the file before.

        Args:
            box, points, mode, size_px: see :meth:`face`.

        Raises:
            ValueError: see :meth:`face`.
        """
        factor = _power_of_two(region_of(self, box, points, mode, size_px)[1] / _FINER)
        searched = factor if mode == "none" else _power_of_two(max(self.size) / picture_px(size_px))
        return min(factor, searched, _SMALLEST_DRAFT)

    def face(self, box: Box, points: np.ndarray, mode: str, size_px: int) -> Crop:
        """Crops a face with :func:`.cut_face`, from a picture just fine enough.

        Args:
            box, points, mode, size_px: see :func:`.cut_face`; in pixels of the upright photograph.

        Raises:
            ValueError: the box is not in the image, or the points are all the same.
        """
        region, fineness = region_of(self, box, points, mode, size_px)
        self._decode(self.face_factor(box, points, mode, size_px))
        return cut_face(self._fine(region, fineness), box, points, mode, size_px)

    def region(self, region: Box, points: np.ndarray, size_px: int) -> Crop:
        """Crops a region with :func:`.cut_region`, from a picture just fine enough.

        Args:
            region, points, size_px: see :func:`.cut_region`; in pixels of the upright photograph.
        """
        fineness = min(region[2] - region[0], region[3] - region[1]) / size_px
        self._decode(min(_power_of_two(fineness / _FINER), _SMALLEST_DRAFT))
        return cut_region(self._fine(region, fineness), region, points, size_px)

    def _fine(self, region: Box, fineness: float) -> Picture:
        """A picture of a region for a crop whose pixels have a side of ``fineness`` pixels of the photograph."""
        if self.size[0] * self.size[1] <= _AT_ONCE:
            return self.picture()
        factor = _power_of_two(fineness / _FINER)
        margin = 2 * fineness + 2  # interpolation looks beyond an edge
        left, top, right, bottom = region
        return self.picture(factor, (left - margin, top - margin, right + margin, bottom + margin))

    def _loaded(self, factor: int) -> Pixels:
        """The pixels, reduced by at most ``factor``."""
        if self._pixels is None or self._factor > factor:
            self._pixels = None
            self._read(factor)
        assert self._pixels is not None
        return self._pixels

    def _decode(self, factor: int) -> None:
        """Decodes a large JPEG file at a factor: a crop must not depend on what the file was read for before."""
        if self._redecodes and (self._pixels is None or self._factor != factor):
            self._pixels = None
            self._read(factor)

    def _take(self, image: Image.Image) -> None:
        """Uses a PIL image, whose pixels may not be loaded yet."""
        try:
            _require_pixels(image)
            image.load()
            self._pixels, self.orientation = Pixels(image), orientation_of(image)
        except Exception as error:
            raise BrokenImageError(str(error).splitlines()[0] if str(error) else type(error).__name__) from None
        self._frame = Orientation(1, image.size) if turned_by_pillow(image) else self.orientation

    def _read(self, factor: int | None) -> None:
        """Reads size and orientation, and the pixels too unless a large JPEG file's factor is still unknown."""
        assert not isinstance(self._source, (np.ndarray, Image.Image))
        file: io.RawIOBase | io.BytesIO | None = None
        try:
            with _file(self._source) as file, _open(file) as image:
                _require_pixels(image)
                self.orientation = orientation_of(image)
                self._frame = self.orientation
                if turned_by_pillow(image):
                    self._frame = Orientation(1, self.orientation.upright)
                few = image.width * image.height <= _AT_ONCE
                self._redecodes = not few and image.format in DRAFTS
                if factor is not None or few or image.format not in DRAFTS:
                    self._factor = min(factor or 1, _SMALLEST_DRAFT if image.format in DRAFTS else 1)
                    need = needed(image, self._factor, _length(file))
                    if need > self._most_bytes and not few:
                        raise BrokenImageError(refusal(image, need, self._most_bytes))
                    self._factor = _draft(image, self._factor)
                    self._pixels = Pixels(_load(image, cast("IO[bytes]", file), few))
                if isinstance(file, PatientFile) and file.fault:  # a decoder may take a fault for the end of the file
                    raise file.fault
        except Exception as error:  # a damaged or malicious file can make the decoders raise anything
            fault = file.fault if isinstance(file, PatientFile) else None
            if isinstance(error, DiskError) or fault:
                raise fault or error from None
            if is_fault(error) or isinstance(error, MemoryError):
                raise DiskError(f"cannot read {self._source}: {str(error) or 'out of memory'}") from None
            raise BrokenImageError(_reason(error, self._source)) from None


def _require_pixels(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BrokenImageError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
    if image.width * image.height == 0:
        raise BrokenImageError(f"{image.width}x{image.height} pixels: the image is empty")


def _cells(start: float, stop: float, length: int, factor: int) -> tuple[int, int]:
    """The first of the cells that a span touches, and their number, at least one."""
    last = ceil(length / factor) - 1
    first = min(max(floor(start / factor), 0), last)
    return first, min(max(ceil(stop / factor) - 1, first), last) - first + 1


def _length(file: PatientFile | io.BytesIO) -> int:
    return file.length if isinstance(file, PatientFile) else file.getbuffer().nbytes


def _file(source: Path | Callable[[], bytes]) -> PatientFile | io.BytesIO:
    return PatientFile(source) if isinstance(source, Path) else io.BytesIO(source())


def _open(file: PatientFile | io.BytesIO) -> Image.Image:
    return Image.open(file if isinstance(file, io.BytesIO) else io.BufferedReader(file), formats=decodable())


def _load(image: Image.Image, file: IO[bytes], few: bool) -> Image.Image | DecodedRows:
    """The image with its pixels in memory, and as little else as possible."""
    if image.format == "HEIF" and not few and (rows := decoded_rows(file)) is not None:
        return rows
    image.load()
    return image.copy() if image.format in _HOLDING else image


def _draft(image: Image.Image, factor: int) -> int:
    """Sets a JPEG file to be decoded at a fraction of its size; returns 1, 2, 4 or 8, at most ``factor``."""
    if factor == 1:
        return 1
    image.draft(None, (max(1, image.width // factor), max(1, image.height // factor)))  # type: ignore[arg-type]
    config = getattr(image, "decoderconfig", ())
    return int(config[0]) if config else 1


def _power_of_two(value: float) -> int:
    """The largest power of 2 that is at most ``value``; at least 1."""
    return 1 << max(0, int(value).bit_length() - 1)


def _reason(error: BaseException, source: Path | Callable[[], bytes]) -> str:
    """One line on why an image could not be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(source)
    if isinstance(error, Image.DecompressionBombError):
        return f"its pixels are more than {MAX_PIXELS:,}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _unidentified(source: Path | Callable[[], bytes]) -> str:
    with _file(source) as file:
        kind = image_format(file.read(HEAD_BYTES) or b"", source.suffix if isinstance(source, Path) else "")
    if kind is None:
        return "not an image that can be read"
    return why_left_out(kind) or f"a {kind} file of a kind that can't be read, or damaged"
