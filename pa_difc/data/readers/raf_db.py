"""Reads RAF-DB (Li et al. 2017), the paper's source: aligned, re-uploaded, or original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...util.errors import UserError
from ..labels import SEVEN
from .coded import decoded, has_classes
from .folders import read_class_folders
from .listing import Listing, NotHere, Sample, csv_rows, plain_name, read_lines
from .places import find_inner, opened, unlisted
from .splits import split_of

LABELS = Path("basic") / "EmoLabel" / "list_patition_label.txt"  # spelt so in the distribution
ALIGNED = Path("basic") / "Image" / "aligned"
ORIGINAL = Path("basic") / "Image" / "original"
BOXES = Path("basic") / "Annotation" / "boundingbox"
POINTS = Path("basic") / "Annotation" / "auto"

#: The classes by their numbers in the list.
CODES = dict(zip("1234567", SEVEN, strict=True))


def read_raf_db(root: Path) -> Listing:
    """Reads RAF-DB's basic set: the list of labels, and the aligned 100×100 faces, which are crops already.

    A line of the list is ``train_00001.jpg 5``; :data:`CODES` has the meaning of the number. The prefix of the name is
    the official split: 12,271 train, 3,068 test. Re-uploads are read too: ``train/1/*.jpg`` … ``test/7/*.jpg`` with the
    same numbers; lists such as ``train_labels.csv`` next to them must agree.
    """
    base = find_inner(
        root,
        lambda folder: (folder / LABELS).is_file() or has_classes(folder, CODES),
        f"no RAF-DB here (looked for {LABELS} and {ALIGNED}/, or train/1/ … test/7/)",
    )
    if (base / LABELS).is_file():
        files = lambda stem, suffix: {"path": base / ALIGNED / f"{stem}_aligned{suffix}", "whole": True}  # noqa: E731
        return replace(_read(base, ALIGNED, files), notes=opened(root, base))
    listing = decoded(read_class_folders(base), CODES)
    _check_lists(root, listing)
    return replace(listing, samples=[replace(s, whole=True) for s in listing.samples], notes=opened(root, base))


def read_raf_db_original(root: Path) -> Listing:
    """Reads RAF-DB's basic set: the same list, with the original photographs and their boxes.

    The five points come from a file in Annotation/auto if it has five; otherwise they are detected.
    """
    looked_for = f"no boxes of RAF-DB here (looked for {BOXES}/*_boundingbox.txt)"
    base = find_inner(root, lambda folder: (folder / BOXES).is_dir(), looked_for)
    points = {path.name: path for path in sorted((base / POINTS).glob("*.txt"))}

    def files(stem: str, suffix: str) -> dict[str, Any]:
        box = _numbers(base / BOXES / f"{stem}_boundingbox.txt")[:4]
        if len(box) != 4 or not (all(map(isfinite, box)) and box[0] < box[2] and box[1] < box[3]):
            raise UserError(
                f"{base / BOXES / f'{stem}_boundingbox.txt'}: {box} must be left, top, right, bottom of a face"
            )
        known = next((points[n] for n in (f"{stem}_auto_attri.txt", f"{stem}_auto.txt") if n in points), None)
        landmarks = _five_points(known) if known else None
        return {"path": base / ORIGINAL / f"{stem}{suffix}", "box": tuple(box), "landmarks": landmarks}

    return replace(_read(base, ORIGINAL, files), notes=opened(root, base))


def _read(root: Path, images: Path, files: Callable[[str, str], dict[str, Any]]) -> Listing:
    path = root / LABELS
    if not path.is_file():
        raise NotHere(f"{root}: no RAF-DB here (looked for {LABELS} and {ALIGNED}/)")
    samples = []
    for where, words in read_lines(path):
        name, label, split = _line(where, words)
        file = Path(name)
        samples.append(Sample(name, label, split, **files(file.stem, file.suffix)))
    if not samples:
        raise UserError(f"{path}: the list is empty")
    try:
        return Listing(samples, unlisted(root / images, samples, path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _check_lists(root: Path, listing: Listing) -> None:
    """Checks that lists beside the class folders agree with them.

    Raises:
        UserError: one does not.
    """
    of_folders = {(s.split, s.path.name): s.label for s in listing.samples if s.path is not None}
    for path in sorted(root.rglob("*_labels.csv")):
        split = split_of(path.stem.removesuffix("_labels"))
        for where, row in csv_rows(path, ("image", "label")):
            word, name = CODES.get(row["label"].strip()), row["image"].strip()
            if (found := of_folders.get((split or "", name), word)) != word:
                raise UserError(f"{where}: {name} has label {row['label'].strip()} ({word}), its folder says {found}")


def _line(where: str, words: list[str]) -> tuple[str, str, str]:
    split, _, rest = words[0].partition("_")
    if len(words) != 2 or split not in ("train", "test") or not rest or "/" in rest or not Path(rest).suffix:
        raise UserError(f"{where}: {' '.join(words)[:60]!r} must be like 'train_00001.jpg 5'")
    if words[1] not in CODES:
        raise UserError(f"{where}: label {words[1]!r} must be 1..7")
    return plain_name(words[0], where, ALIGNED.as_posix()), CODES[words[1]], split


def _numbers(path: Path) -> list[float]:
    try:
        return [float(word) for _, words in read_lines(path) for word in words]
    except ValueError as error:
        raise UserError(f"{path}: must contain numbers ({error})") from None


def _five_points(path: Path) -> NDArray[np.float32] | None:
    """The five points in a file; None if it holds others (37 points, or only attributes)."""
    pairs = [words for _, words in read_lines(path) if len(words) == 2]
    try:
        points = np.array(pairs, dtype=np.float32) if len(pairs) == 5 else None
    except ValueError as error:
        raise UserError(f"{path}: points must be numbers ({error})") from None
    if points is not None and not np.isfinite(points).all():
        raise UserError(f"{path}: points must be finite numbers")
    return points
