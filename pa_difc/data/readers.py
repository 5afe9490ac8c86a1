"""Reading the lists of face datasets: where each image is, what it shows, which split it belongs to.

Readers open no image (CSV pixels aside): decoding is :mod:`.decode`'s. Each takes the folder of one dataset in the
layouts in which it is given out, and raises a one-line :class:`UserError` for whatever is not as it should be.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import UserError
from .labels import FER2013_CODES, expression_index

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

#: The share of a dataset without official splits that is held out as its test split.
HELD_OUT = 0.2


@dataclass(frozen=True)
class Sample:
    """One face of a dataset's list; either ``path`` or ``pixels`` is given."""

    name: str  #: unique in the dataset: the path below its folder, or file and row of a list
    label: int  #: 0..6
    split: str  #: "train", "test", or another one that no recipe uses
    path: Path | None = None
    pixels: np.ndarray | None = field(default=None, compare=False)  #: ``(H, W)`` uint8


@dataclass(frozen=True)
class Listing:
    """What a reader found: the samples, and how many it left out by expression."""

    samples: list[Sample]
    excluded: int = 0


Reader = Callable[[Path], Listing]


def read_fer2013(root: Path) -> Listing:
    """FER2013 as ``fer2013.csv``, ``icml_face_data.csv`` or image folders ``train/<class>/``, ``test/<class>/``.

    In the CSVs, Training is "train", PrivateTest "test" and PublicTest "val"; the folders' "test" holds both.
    """
    for name in ("fer2013.csv", "icml_face_data.csv"):
        if (root / name).is_file():
            return Listing(list(_fer2013_rows(root / name)))
    if (root / "train").is_dir():
        return read_class_folders(root)
    raise UserError(
        f"{root}: no FER2013 here (looked for fer2013.csv, icml_face_data.csv, train/<class>/ and test/<class>/)"
    )


def read_class_folders(root: Path) -> Listing:
    """Any tree of class folders: ``<class>/…``, or ``train/<class>/…`` and ``test/<class>/…``.

    Without split folders, about a fifth is held out as "test": the images whose names' hashes say so, the same
    ones whatever else lies beside them.
    """
    splits = [s for s in ("train", "test", "val") if (root / s).is_dir()]
    samples: list[Sample] = []
    excluded = 0
    for base, split in [(root / s, s) for s in splits] or [(root, None)]:
        folders = sorted(p for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))
        for folder in folders:
            try:
                label = expression_index(folder.name)
            except UserError as error:
                raise UserError(f"{folder}: {error}") from None
            paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            excluded += len(paths) if label is None else 0
            for path in paths if label is not None else []:
                name = path.relative_to(root).as_posix()
                samples.append(Sample(name, label, split or held_out(name), path))
    if not samples:
        raise UserError(f"{root}: no images in class folders (looked for <class>/*.jpg, train/<class>/*.jpg)")
    return Listing(samples, excluded)


def read_legend_csv(root: Path) -> Listing:
    """A list ``legend.csv`` with columns image and emotion beside ``images/``; split as :func:`read_class_folders`."""
    return _read_legend(root, group=lambda name: name)


def read_muxspace(root: Path) -> Listing:
    """muxspace/facial_expressions: a legend CSV whose file names are a person's name and a number.

    All images of a person fall into one split, so that nobody is in both.
    """
    return _read_legend(root, group=lambda name: re.sub(r"_\d+$", "", Path(name).stem))


def held_out(key: str) -> str:
    """The split of a sample of a dataset without official splits: a function of its key alone."""
    bits = hashlib.sha256(key.encode()).digest()[:8]
    return "test" if int.from_bytes(bits, "big") < HELD_OUT * 2**64 else "train"


def _read_legend(root: Path, group: Callable[[str], str]) -> Listing:
    legend = root / "legend.csv"
    if not legend.is_file():
        raise UserError(f"{root}: no legend.csv here (looked for legend.csv beside images/)")
    samples: list[Sample] = []
    excluded = 0
    for line, row in _csv_rows(legend, ("image", "emotion")):
        name = row["image"].strip()
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{legend}:{line}: image {name!r} must be a path below images/")
        try:
            label = expression_index(row["emotion"])
        except UserError as error:
            raise UserError(f"{legend}:{line}: {error}") from None
        if label is None:
            excluded += 1
        else:
            samples.append(Sample(name, label, held_out(group(name)), root / "images" / name))
    if not samples:
        raise UserError(f"{legend}: the list is empty")
    if len({s.name for s in samples}) < len(samples):
        raise UserError(f"{legend}: an image is listed twice")
    return Listing(samples, excluded)


def _fer2013_rows(path: Path) -> Iterator[Sample]:
    splits = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    for line, row in _csv_rows(path, ("emotion", "pixels", "Usage")):
        where = f"{path}:{line}"
        code = row["emotion"].strip()
        if not code.isascii() or not code.isdigit() or int(code) not in FER2013_CODES:
            raise UserError(f"{where}: emotion {code!r} must be 0..6")
        if (usage := row["Usage"].strip()) not in splits:
            raise UserError(f"{where}: Usage {usage!r} must be one of {', '.join(splits)}")
        pixels = _pixels(row["pixels"], where)
        yield Sample(f"{path.name}:{line}", FER2013_CODES[int(code)], splits[usage], pixels=pixels)


def _pixels(text: str, where: str) -> np.ndarray:
    """48×48 gray values of a pixel string."""
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise UserError(f"{where}: pixels must be numbers separated by spaces") from None
    if values.size != 48 * 48 or values.min() < 0 or values.max() > 255:
        raise UserError(f"{where}: pixels must be 2304 numbers of 0..255, found {values.size}")
    return values.astype(np.uint8).reshape(48, 48)


def _csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a CSV whose header may hold spaces (as icml_face_data.csv's does)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = [name.strip() for name in reader.fieldnames or []]
            missing = [c for c in columns if c not in header]
            if missing:
                raise UserError(
                    f"{path}: no column {missing[0]!r} (found {', '.join(header) or 'nothing'}; "
                    f"needs {', '.join(columns)})"
                )
            reader.fieldnames = header
            for row in reader:
                if any(row[c] is None for c in columns):
                    raise UserError(f"{path}:{reader.line_num}: the row is cut short")
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV ({error})") from None
