"""Estimates the memory that decoding an image takes, before decoding it.

JPEG and PNG files, and most others, are decoded line by line into the image. Other decoders hold more, even if only a
part is wanted: all coefficients, the file, or several copies of the image.
"""

from __future__ import annotations

from PIL import Image

#: Most bytes that decoding may take, so that a process of ``prepare``, PyTorch included, stays below 700 MB, and
#: ``predict`` below 1.5 GB.
PREPARE_BYTES, PREDICT_BYTES = 240_000_000, 500_000_000

_COEFFICIENT = 2  #: bytes per coefficient; a progressive JPEG file's are all kept until its last scan is read
_NUMBER = 5  #: bytes per pixel and band in a JPEG 2000 decoder: 4 for the number, and 1 for its own work
#: Bytes per pixel in decoders of whole images: canvases, their bytes, the image and its copy. HEIF takes less, because
#: :mod:`.heif` reads the decoder's buffer without making an image.
_WHOLE = {"WEBP": 16.0, "AVIF": 14.0, "HEIF": 4.5}
_THREADS = {"HEIF": 10_000_000}  #: bytes for a decoder's threads


def held_for_pixel(mode: str) -> int:
    """Bytes per pixel of a Pillow image in this mode."""
    return {"1": 1, "L": 1, "P": 1}.get(mode, 2 if mode.startswith("I;16") else 4)


def needed(image: Image.Image, factor: int, length: int) -> int:
    """Approximate peak memory of loading an image, in bytes, the image included.

    Args:
        image: opened, but not loaded yet.
        factor: decode at 1/factor of the size, if the format can.
        length: size of the file in bytes.
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
    """One line on why an image that needs ``need`` bytes, more than ``most``, is not decoded."""
    kind = f"progressive {image.format}" if _is_progressive(image) else str(image.format)
    took = f"{image.width}x{image.height} pixels in a {kind} file take {need / 1e6:,.0f} MB to decode"
    return f"{took}, more than {most / 1e6:,.0f}: save it as a JPEG file that is not progressive"


def _is_progressive(image: Image.Image) -> bool:
    return bool(image.info.get("progressive"))


def _samples(image: Image.Image) -> int:
    """The number of coefficients in a JPEG file, whose colour channels may be subsampled."""
    sides = [(across, along) for _, across, along, _ in getattr(image, "layer", [])] or [(1, 1)] * len(image.getbands())
    most: int = max(across for across, _ in sides) * max(along for _, along in sides)
    total: int = sum(across * along for across, along in sides)
    return image.width * image.height * total // most
