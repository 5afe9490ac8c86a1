"""Copies of an image that somebody made, known by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_WHAT = (
    "aug|augment|augmented|augmentation|copy|kopie|copie|copia|flip|flipped|fliplr|hflip|vflip|mirror|mirrored|rot|rotate"
    "|rotated|rotation|resaved|resized|noise|noisy|blur|blurred|bright|brightness|contrast|dark|shift|shifted|zoom"
    "|zoomed|crop|cropped|orig|original"
)
#: What the name of a copy ends in (``a_aug0``, ``a - Copy (2)``, ``a_rot-15_flip``) or begins with (``aug_0_a``).
_END = re.compile(rf"(?:[ _.-]+(?:{_WHAT})(?:[ _.-]*-?\d+)?|[ _]*\(\d+\))+$", re.IGNORECASE)
_START = re.compile(rf"^(?:(?:{_WHAT})(?:ed)?[ _.-]*\d*[ _.-]+(?:of )?)+", re.IGNORECASE)
#: Copies that Roboflow made: ``a_jpg.rf.0123456789abcdef``.
_ROBOFLOW = re.compile(r"[_.](?:jpe?g|png)\.rf\.\w{16,}$", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")


def copies(root: Path, paths: Iterable[Path]) -> dict[Path, str]:
    """What images with copies have in common: the name of the original, or what would be its name.

    A copy lies in its original's folder. Where there is no original, names are treated as copies of one image only if
    what is left of them has a digit: ``im0001_aug0`` and ``im0001_aug1``, but not ``happy_aug0`` and ``happy_aug1``.

    Args:
        root: the dataset's folder.
        paths: its images.

    Returns:
        The group of each image that is not alone in it.
    """
    paths = sorted(paths)
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.parent / _stem(path), path)
    groups = {path: _original(path, first) for path in paths}
    members = Counter(groups.values())
    return {path: own.relative_to(root).as_posix() for path, own in groups.items() if members[own] > 1}


def _original(path: Path, first: dict[Path, Path]) -> Path:
    stem = _stem(path)
    for pattern in (_ROBOFLOW, _END, _START):
        base = pattern.sub("", stem)
        if base and base != stem:
            if (found := first.get(path.parent / base)) is not None:
                return found
            if pattern is not _START and re.search(r"\d", base):
                return path.parent / base
    return first[path.parent / stem]


def _stem(path: Path) -> str:
    """The name without its suffix, if that is one: of ``photo.2019``, all of it."""
    return path.stem if _SUFFIX.fullmatch(path.suffix) else path.name
