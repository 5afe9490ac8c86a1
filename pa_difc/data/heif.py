"""HEIC photographs, on an iPhone of up to 48 megapixels: read from the decoder's own bytes, with no image of them."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from PIL import Image

_CHANNELS = {"RGB": 3, "RGBA": 4}


class DecodedRows:
    """Pixels in a decoder's memory, of which parts become images; what :class:`.Pixels` needs of an image.

    Args:
        pixels: ``(H, W, C)`` uint8.
        mode: Pillow's, of C bands.
    """

    def __init__(self, pixels: np.ndarray, mode: str) -> None:
        self._pixels, self.mode = pixels, mode
        self.height, self.width = pixels.shape[:2]
        self.size = (self.width, self.height)
        self.has_transparency_data = mode == "RGBA"

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """A part that lies within."""
        left, top, right, bottom = box
        return Image.fromarray(np.ascontiguousarray(self._pixels[top:bottom, left:right]))


def decoded_rows(file: IO[bytes]) -> DecodedRows | None:
    """The main image of a HEIC file, decoded, with 8 bits for each colour; None if it is no image of colours.

    Args:
        file: at any position.
    """
    import pillow_heif  # type: ignore[import-not-found]

    pillow_heif.options.DECODE_THREADS = 1  # the memory of others stays theirs: 100 MB after some images
    file.seek(0)
    heif: Any = pillow_heif.open_heif(file, convert_hdr_to_8bit=True, remove_stride=False)
    if heif.mode not in _CHANNELS:
        return None
    data, channels = heif.data, _CHANNELS[heif.mode]
    width, height = heif.size  # decoding may have changed it
    pixels = np.ndarray((height, width, channels), np.uint8, data, strides=(heif.stride, channels, 1))
    return DecodedRows(pixels, heif.mode)
