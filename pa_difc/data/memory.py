"""The memory that decoding an image takes, counted before it is begun.

JPEG and PNG files, and most others, are decoded line by line, into the image that is made. Other decoders hold more,
whatever part is wanted: the coefficients of all of it, the file, or the image several times.
"""

from __future__ import annotations

from PIL import Image

#: What decoding may take at most, in bytes, for a process of ``prepare`` to stay below 700 MB with PyTorch in it, and
#: for ``predict`` below 1.5 GB.
PREPARE_BYTES, PREDICT_BYTES = 240_000_000, 500_000_000

_COEFFICIENT = 2  #: bytes; of a progressive JPEG file all of them are kept until the last scan is read
_NUMBER = 5  #: bytes of each number of each band in a JPEG 2000 decoder: 4, and its own work
#: Bytes for a pixel with decoders of whole images: canvases, their bytes, the image, its copy. HEIF's is read by
#: :mod:`.heif`, which makes no image of it.
_WHOLE = {"WEBP": 16.0, "AVIF": 14.0, "HEIF": 4.5}
_THREADS = {"HEIF": 10_000_000}  #: bytes of a decoder's threads


def held_for_pixel(mode: str) -> int:
    """Bytes of a pixel in an image of Pillow's."""
    return {"1": 1, "L": 1, "P": 1}.get(mode, 2 if mode.startswith("I;16") else 4)


def needed(image: Image.Image, factor: int, length: int) -> int:
    """Bytes that loading an image takes at most, about, with those of the image.

    Args:
        image: opened, and not loaded yet.
        factor: it is decoded at this fraction of its size, if its format can be.
        length: bytes of the file.
    """
    pixels = image.width * image.height
    if image.format in _WHOLE:
        return int(_WHOLE[image.format] * pixels) + _THREADS.get(image.format, 0) + length
    made = held_for_pixel(image.mode) * pixels
    if image.format in ("JPEG", "MPO"):
        return made // factor**2 + (_COEFFICIENT * _samples(image) if _is_progressive(image) else 0)
    if image.format == "JPEG2000":
        return made + _NUMBER * len(image.getbands()) * pixels + length
    if image.format == "TIFF" and any(tile[0] == "libtiff" for tile in getattr(image, "tile", ())):
        return made + length
    return made


def refusal(image: Image.Image, need: int, most: int) -> str:
    """One line on why an image is not decoded."""
    kind = f"progressive {image.format}" if _is_progressive(image) else str(image.format)
    took = f"{image.width}x{image.height} pixels in a {kind} file take {need / 1e6:,.0f} MB to decode"
    return f"{took}, more than {most / 1e6:,.0f}: save it as a JPEG file that is not progressive"


def _is_progressive(image: Image.Image) -> bool:
    return bool(image.info.get("progressive"))


def _samples(image: Image.Image) -> int:
    """Numbers of a JPEG file: of colours fewer than of brightness."""
    sides = [(across, along) for _, across, along, _ in getattr(image, "layer", [])] or [(1, 1)] * len(image.getbands())
    most: int = max(across for across, _ in sides) * max(along for _, along in sides)
    total: int = sum(across * along for across, along in sides)
    return image.width * image.height * total // most
