"""Finds the file of an image that the caller opened with Pillow and did not decode."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from .orientation import orientation_of

#: Formats that can be decoded at a half, a quarter or an eighth of their size.
DRAFTS = ("JPEG", "MPO")
#: Images with more pixels are treated as decompression bombs, and not opened.
MAX_PIXELS = 50_000_000


def undecoded(image: Image.Image) -> bytes | None:
    """The content of the JPEG file of an opened image, so that the image is read as its file is.

    Args:
        image: any image; it is not changed.

    Returns:
        None if the image is loaded, is not a JPEG file, or is no longer as in the file: another frame, size, mode or
        orientation was chosen.
    """
    file: Any = getattr(image, "fp", None)
    if image.format not in DRAFTS or not getattr(image, "tile", None) or image.width * image.height > MAX_PIXELS:
        return None
    try:
        place = file.tell()
        try:
            file.seek(0)
            content: bytes = file.read()
        finally:
            file.seek(place)
        with Image.open(io.BytesIO(content), formats=DRAFTS) as again:
            return content if _said(again) == _said(image) else None
    except Exception:  # a file that can't be read again, or is damaged: decoding the image says why
        return None


def _said(image: Image.Image) -> tuple[object, ...]:
    return image.size, image.mode, image.tell(), orientation_of(image)
