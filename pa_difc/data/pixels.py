"""Converts any pixel format to 8-bit RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from .heif import DecodedRows
from .memory import held_for_pixel

#: The background for transparent pixels: the gray that the detector adds around images.
BACKGROUND = (128, 128, 128)

#: Pillow's modes with more than 8 bits, all of them gray.
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  #: TIFF tags
_WHITE_IS_ZERO, _SIGNED, _FLOAT = 0, 2, 3
_DARKEST = 0.26  #: a gray image whose brightest pixel is below this share of white must have another range
_STRIP = 1 << 20  #: pixels converted at a time


class RangeError(ValueError):
    """An image's gray values do not fit the range of its format."""


class Pixels:
    """A loaded image, whose parts are converted to RGB.

    Args:
        image: loaded, in any mode. 16- or 32-bit, signed and floating-point gray is scaled from its format's black and
            white to 8 bits; transparent pixels are put on :data:`BACKGROUND`.

    Raises:
        RangeError: a deep gray image's values do not fit its format's range.
    """

    def __init__(self, image: Image.Image | DecodedRows) -> None:
        self.image = image
        signed = image.mode == "L" and _tag(image, _SAMPLE_FORMAT) == _SIGNED
        self._white = _white(image) if signed or image.mode in _DEEP else None
        self._type = _meant(image)
        self._inverted = self._white is not None and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
        if self._white is not None:
            self._require_range(self._white)

    @property
    def held(self) -> int:
        """Bytes of the image in memory."""
        return self.image.width * self.image.height * held_for_pixel(self.image.mode)

    def part(self, box: tuple[int, int, int, int], factor: int = 1) -> Image.Image:
        """A part of the image in RGB, reduced by averaging squares of ``factor`` × ``factor`` pixels.

        Args:
            box: left, top, right, bottom; clipped to the image.
            factor: side of a square in pixels.
        """
        width, height = self.image.size
        left, top, right, bottom = box = (box[0], box[1], min(box[2], width), min(box[3], height))
        whole = box == (0, 0, width, height)
        if isinstance(self.image, Image.Image) and self.image.mode == "RGB" and not self.image.has_transparency_data:
            part = self.image if whole else self.image.crop(box)
            return part.reduce(factor) if factor > 1 else part
        rows = max(1, _STRIP // ((right - left) * factor)) * factor
        if whole and factor == 1 and rows >= bottom:
            return self._rgb(self.image.crop(box))
        out = Image.new("RGB", (-(-(right - left) // factor), -(-(bottom - top) // factor)))
        for start in range(top, bottom, rows):  # converting all at once would take as much memory again
            strip = self._rgb(self.image.crop((left, start, right, min(start + rows, bottom))))
            out.paste(strip.reduce(factor) if factor > 1 else strip, (0, (start - top) // factor))
        return out

    def _rgb(self, image: Image.Image) -> Image.Image:
        if self._white is not None:
            values = self._values(image).astype(np.float32) * np.float32(255 / self._white)
            gray = np.rint(255 - values if self._inverted else values).astype(np.uint8)
            return Image.fromarray(gray).convert("RGB")
        if not image.has_transparency_data:
            return image.convert("RGB")
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
        behind = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        behind.alpha_composite(image.convert("RGBA"))
        return behind.convert("RGB")

    def _values(self, image: Image.Image) -> np.ndarray:
        """The gray values of a part, in their true type."""
        values = np.asarray(image)
        return values if self._type is None else values.view(self._type)

    def _require_range(self, white: float) -> None:
        low, high = np.inf, -np.inf
        rows = max(1, _STRIP // self.image.width)
        for start in range(0, self.image.height, rows):
            stop = min(start + rows, self.image.height)
            strip = self._values(self.image.crop((0, start, self.image.width, stop)))
            if not np.isfinite(strip).all():
                raise RangeError("gray values that are not finite numbers")
            low, high = min(low, float(strip.min())), max(high, float(strip.max()))
        if self._inverted:
            low, high = white - high, white - low
        if low < 0 or high > white or high < _DARKEST * white:
            raise RangeError(
                f"gray values of {low:,g} to {high:,g} where {white:,g} is white: save it with 8 or 16 bits over the "
                "full range"
            )


def _white(image: Image.Image | DecodedRows) -> float:
    """The value of white in a deep gray format."""
    bits, kind = _tag(image, _BITS), _tag(image, _SAMPLE_FORMAT)
    if image.mode == "F":
        return 1.0
    if bits is None:  # PNG, JPEG 2000, and PGM, whose values Pillow scales to it
        return 65535.0
    return float(2 ** (bits - 1) - 1 if kind == _SIGNED else 2**bits - 1)


def _meant(image: Image.Image | DecodedRows) -> np.dtype[Any] | None:
    """The true type of a TIFF file's gray values, if Pillow misreads it: as it does int8 and uint32; else None."""
    bits, signed = _tag(image, _BITS), _tag(image, _SAMPLE_FORMAT) == _SIGNED
    if image.mode == "L" and signed:
        return np.dtype(np.int8)
    if image.mode == "I" and bits == 32 and not signed:
        return np.dtype(np.uint32)
    return None


def _tag(image: Image.Image | DecodedRows, tag: int) -> int | None:
    """The value of a TIFF tag, the first if there are several; None without the tag, or for other formats."""
    value = getattr(image, "tag_v2", {}).get(tag)
    if isinstance(value, tuple):
        value = value[0] if value else None
    return value if isinstance(value, int) else None
