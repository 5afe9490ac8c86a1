"""Reads FER2013 (Goodfellow et al. 2013, arXiv:1307.0414) in its three layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...util.errors import UserError
from .folders import read_class_folders
from .listing import Listing, Sample, csv_rows
from .places import find_inner, folders_in, opened
from .splits import split_of

#: The classes by their codes in the CSVs; ExpW uses the same codes.
CODES = dict(zip("0123456", ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral"), strict=True))

VOTES = "fer2013new.csv"  #: FERPlus's file of votes

_SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
_CSVS = ("fer2013.csv", "icml_face_data.csv")


def read_fer2013(root: Path) -> Listing:
    """Reads FER2013: ``fer2013.csv``, ``icml_face_data.csv`` or image folders ``train/<class>/``, ``test/<class>/``.

    In the CSVs, Training is "train", PrivateTest "test" and PublicTest "val"; the folders' "test" holds the latter two.
    The whole image is the face's box (CD-FER).
    """
    base = find_inner(
        root,
        _is_here,
        "no FER2013 here (looked for fer2013.csv, icml_face_data.csv, train/<class>/ and test/<class>/)",
    )
    if (path := pixel_list(base)) is not None:
        beside = ("FERPlus's votes are here as well: ferplus reads them",) if (base / VOTES).is_file() else ()
        return Listing(list(_rows(path)), notes=(*opened(root, base), *beside))
    listing = read_class_folders(root)
    return replace(listing, samples=[replace(s, whole=True) for s in listing.samples])


def pixel_list(folder: Path) -> Path | None:
    """The CSV of FER2013's pixels in a folder; None if there is none."""
    return next((path for name in _CSVS if (path := folder / name).is_file()), None)


def _is_here(folder: Path) -> bool:
    return pixel_list(folder) is not None or "train" in map(split_of, (p.name for p in folders_in(folder)))


def _rows(path: Path) -> Iterator[Sample]:
    for where, row in csv_rows(path, ("emotion", "pixels", "Usage")):
        code = row["emotion"].strip()
        if code not in CODES:
            raise UserError(f"{where}: emotion {code!r} must be 0..6")
        yield pixel_sample(path, where, row, CODES[code])


def pixel_sample(path: Path, where: str, row: dict[str, str], label: str) -> Sample:
    """The sample of a row of FER2013's CSV.

    Raises:
        UserError: its pixels or its usage are malformed.
    """
    if (usage := row["Usage"].strip()) not in _SPLITS:
        raise UserError(f"{where}: Usage {usage!r} must be one of {', '.join(_SPLITS)}")
    pixels = _pixels(row["pixels"], where)
    return Sample(f"{path.name}:{where.rpartition(':')[2]}", label, _SPLITS[usage], pixels=pixels, whole=True)


def _pixels(text: str, where: str) -> NDArray[np.uint8]:
    """The gray values ``(48, 48)`` uint8 of a pixel string."""
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise UserError(f"{where}: pixels must be numbers separated by spaces") from None
    if values.size != 48 * 48 or values.min() < 0 or values.max() > 255:
        raise UserError(f"{where}: pixels must be 2304 numbers of 0..255, found {values.size}")
    return values.astype(np.uint8).reshape(48, 48)
