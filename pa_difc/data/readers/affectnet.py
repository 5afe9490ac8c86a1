"""Reads AffectNet (Mollahosseini et al. 2017, arXiv:1708.03985) in its common layouts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...util.errors import UserError
from ..files import find_images, merged
from .coded import decoded, has_classes
from .folders import read_class_folders, settled
from .listing import Listing, Sample, csv_rows, plain_name
from .places import find_inner, folders_in, opened, unlisted
from .splits import split_of

_WORDS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
#: The classes by their numbers in lists and folders.
CODES = {str(k): word for k, word in enumerate(_WORDS)}
#: Numbers that stand for no expression.
NO_CLASS = {"8": "images labelled none", "9": "images labelled uncertain", "10": "images labelled no face"}

_IMAGES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated", "images")
_FILE, _CODE, _BOX = "subDirectory_filePath", "expression", ("face_x", "face_y", "face_width", "face_height")


def read_affectnet(root: Path) -> Listing:
    """Reads AffectNet; its validation set is the test split, since its own test set has no public labels.

    - class folders, numbered or named: ``train/0/*.jpg`` … ``val/7/*.jpg``;
    - annotations beside images: ``train_set/images/1.jpg`` and ``train_set/annotations/1_exp.npy``;
    - lists ``training.csv`` and ``validation.csv`` with the face's box, beside ``Manually_Annotated_Images/``.

    :data:`CODES` has the meaning of the numbers, which are not those of RAF-DB or FER2013. Images labelled none,
    uncertain or no face are left out and counted. With ``--labels expressions8`` contempt is a class.
    """
    base = find_inner(
        root,
        lambda folder: any(_forms(folder)),
        "no AffectNet here (looked for train/0/ … val/7/, train_set/annotations/ and training.csv)",
    )
    _, annotated, listed = _forms(base)
    read = _lists if listed else _annotations if annotated else read_class_folders
    listing = decoded(read(base), CODES, NO_CLASS)
    return replace(listing, notes=opened(root, base))


def _forms(folder: Path) -> tuple[bool, bool, bool]:
    """Whether a folder holds class folders, annotations, and lists."""
    annotated = any((p / "annotations").is_dir() for p in folders_in(folder) if split_of(p.name))
    return has_classes(folder, CODES), annotated, any(_csvs(folder))


def _csvs(folder: Path) -> list[tuple[str, Path]]:
    return [(split, path) for path in sorted(folder.glob("*.csv")) if (split := split_of(path.stem))]


def _annotations(base: Path) -> Listing:
    samples: list[Sample] = []
    left_out = []
    for folder in folders_in(base):
        if (split := split_of(folder.name)) and (folder / "annotations").is_dir():
            found = find_images(folder / "images")
            left_out.append(found.left_out)
            for path in found.paths:
                code = _code(folder / "annotations" / f"{path.stem}_exp.npy")
                samples.append(Sample(path.relative_to(base).as_posix(), code, split, path, whole=True))
    return Listing(settled(samples), merged(left_out))


def _code(path: Path) -> str:
    """The number in an annotation file, which is an array of one number or text."""
    try:
        return str(int(np.load(path, allow_pickle=False).item()))
    except Exception as error:  # numpy can raise anything for a damaged array
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a number in an array"
        raise UserError(f"cannot read {path}: {reason}") from None


def _lists(base: Path) -> Listing:
    images = next((p for name in _IMAGES if (p := base / name).is_dir()), base)
    samples: dict[str, Sample] = {}
    left_out: Counter[str] = Counter()
    for split, path in _csvs(base):
        for where, row in csv_rows(path, (_FILE, _CODE)):
            name, code = plain_name(row[_FILE].strip(), where, images.name), row[_CODE].strip()
            if code not in CODES and code not in NO_CLASS:
                raise UserError(f"{where}: expression {code!r} must be 0..10")
            if name in samples:
                left_out["rows of images that are listed already"] += 1
            else:
                samples[name] = Sample(name, code, split, images / name, box=_box(where, row))
    lists = [path for _, path in _csvs(base)]
    return Listing(settled(list(samples.values())), merged([left_out, unlisted(images, samples.values(), *lists)]))


def _box(where: str, row: dict[str, str]) -> tuple[float, float, float, float] | None:
    """The face's box (left, top, right, bottom); None if the list has no such columns."""
    if not all(column in row for column in _BOX):
        return None
    try:
        left, top, width, height = (float(row[column]) for column in _BOX)
        if not (width > 0 and height > 0 and np.isfinite([left, top, width, height]).all()):
            raise ValueError
    except (TypeError, ValueError):
        raise UserError(f"{where}: {', '.join(_BOX)} {[row[c] for c in _BOX]} is not a box of a face") from None
    return left, top, left + width, top + height
