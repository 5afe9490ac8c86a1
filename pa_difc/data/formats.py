"""Recognises image formats by a file's first bytes, and knows which of them can be decoded here."""

from __future__ import annotations

import contextlib
import functools
import re

#: Number of first bytes that tell a file's format.
HEAD_BYTES = 64

#: Formats that are decoded with any Pillow. Its other formats are not photographs, and for some (EPS) Pillow runs
#: other programs.
_ALWAYS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    *((start, "TIFF") for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"gimp xcf", "GIMP"),
    (b"v/1\x01", "OpenEXR"),
    (b"II\xbc\x01", "JPEG XR"),
    *((b"\x01\xda" + bytes((storage, depth)), "SGI") for storage in (0, 1) for depth in (1, 2)),
    *((start, "camera raw") for start in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")),
)
_BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  #: sizes of the second header of a BMP file
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))

#: Many cameras' raw formats are TIFF files whose first image is a small preview: only their names tell.
_RAW_SUFFIXES = frozenset((".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".nef"))
_RAW_SUFFIXES |= frozenset((".nrw", ".pef", ".sr2", ".srf", ".srw"))

#: How to read formats that are not decodable everywhere; all others have to be converted.
_WAYS = {"HEIF": "HEIC: pip install 'pa-difc[heif]'"}
_WAYS |= {name: f"{name}: this Pillow was built without it" for name in ("AVIF", *_ALWAYS)}
#: Names of some formats' files, in the plural.
_FILES = {"Photoshop": "Photoshop files", "camera raw": "camera raw files", "GIMP": "GIMP files"}

NOT_IMAGES = "not images"


def image_format(head: bytes, suffix: str = "") -> str | None:
    """The format of an image file by Pillow's name, or another name if Pillow can't read it; None for other files.

    Args:
        head: the file's first :data:`HEAD_BYTES` bytes.
        suffix: of its name, in upper or lower case, such as ".nef".
    """
    found = next((name for start, name in _SIGNATURES if head.startswith(start)), None)
    if found == "TIFF" and (suffix.lower() in _RAW_SUFFIXES or head[8:10] == b"CR"):
        return "camera raw"
    if found is not None:
        return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS:
        return "BMP"
    if re.match(rb"P[1-6f]\s+[0-9#]", head):
        return "PPM"
    return _of_boxes(head) if head[4:8] == b"ftyp" else _of_few_bytes(head, suffix.lower())


def _of_few_bytes(head: bytes, suffix: str) -> str | None:
    """Recognises formats whose few first bytes are not unique (ICO, PCX), or that have none of their own (TGA)."""
    if len(head) < 18:  # the length of their shortest header
        return None
    if head[:4] in (b"\0\0\x01\0", b"\0\0\x02\0") and head[4] and not head[5] and not head[9]:
        return "ICO"
    if head[0] == 10 and head[1] in (0, 2, 3, 4, 5) and head[2] == 1 and head[3] in (1, 2, 4, 8):
        return "PCX"
    if suffix == ".tga" and head[1] in (0, 1) and head[2] in (1, 2, 3, 9, 10, 11):
        return "TGA"
    return None


def _of_boxes(head: bytes) -> str | None:
    """The format of an ISO base media file, by its brands; videos are such files too."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))]
    if brands[0] == b"crx ":
        return "camera raw"
    if brands[0] not in _HEIF_BRANDS | _AVIF_BRANDS:
        return None
    return "AVIF" if _AVIF_BRANDS & set(brands) else "HEIF"


@functools.cache
def decodable() -> tuple[str, ...]:
    """The formats that can be decoded here, by Pillow's names; the extra "heif" adds HEIC."""
    from PIL import Image, features

    Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif  # type: ignore[import-not-found]

        pillow_heif.register_heif_opener()
    codecs = {"JPEG2000": features.check("jpg_2000"), "WEBP": features.check("webp"), "AVIF": features.check("avif")}
    return tuple(name for name in (*_ALWAYS, "AVIF", "HEIF") if name in Image.OPEN and codecs.get(name) is not False)


def why_left_out(kind: str | None) -> str | None:
    """Why files of a format are left out, in the plural; None if they can be decoded.

    Args:
        kind: from :func:`image_format`.
    """
    if kind is None:
        return NOT_IMAGES
    if kind in decodable():
        return None
    return _WAYS.get(kind, f"{_FILES.get(kind, kind)}: convert them to JPEG or PNG")
