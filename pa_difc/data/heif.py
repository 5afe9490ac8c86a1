"""Reads parts of HEIC photographs (an iPhone's have up to 48 megapixels) from the decoder's buffer, without a copy."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from PIL import Image

_CHANNELS = {"RGB": 3, "RGBA": 4}


class DecodedRows:
    """Pixels in a decoder's buffer, with the part of Pillow's interface that :class:`.Pixels` needs.

    Args:
        pixels: ``(H, W, C)`` uint8.
        mode: Pillow's mode, with C bands.
    """

    def __init__(self, pixels: np.ndarray, mode: str) -> None:
        self._pixels, self.mode = pixels, mode
        self.height, self.width = pixels.shape[:2]
        self.size = (self.width, self.height)
        self.has_transparency_data = mode == "RGBA"

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """A part as an image; the box must lie within."""
        left, top, right, bottom = box
        return Image.fromarray(np.ascontiguousarray(self._pixels[top:bottom, left:right]))


def decoded_rows(file: IO[bytes]) -> DecodedRows | None:
    """The main image of a HEIC file, decoded with 8 bits per channel; None if it is neither RGB nor RGBA.

    Args:
        file: the open file, at any position.
    """
    import pillow_heif  # type: ignore[import-not-found]

    pillow_heif.options.DECODE_THREADS = 1  # further threads keep their memory, 100 MB after some images
    file.seek(0)
    heif: Any = pillow_heif.open_heif(file, convert_hdr_to_8bit=True, remove_stride=False)
    if heif.mode not in _CHANNELS:
        return None
    data, channels = heif.data, _CHANNELS[heif.mode]
    width, height = heif.size  # decoding may have changed it
    pixels = np.ndarray((height, width, channels), np.uint8, data, strides=(heif.stride, channels, 1))
    return DecodedRows(pixels, heif.mode)
