"""Recognises copies of an image by their names."""

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
#: Suffixes (``a_aug0``, ``a - Copy (2)``, ``a_rot-15_flip``) and prefixes (``aug_0_a``) of a copy's name.
_END = re.compile(rf"(?:[ _.-]+(?:{_WHAT})(?:[ _.-]*-?\d+)?|[ _]*\(\d+\))+$", re.IGNORECASE)
_START = re.compile(rf"^(?:(?:{_WHAT})(?:ed)?[ _.-]*\d*[ _.-]+(?:of )?)+", re.IGNORECASE)
#: The names of Roboflow's copies: ``a_jpg.rf.0123456789abcdef``.
_ROBOFLOW = re.compile(r"[_.](?:jpe?g|png)\.rf\.\w{16,}$", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")


def copies(root: Path, paths: Iterable[Path]) -> dict[Path, str]:
    """Groups images with their copies, by the name of the original or what it would be.

    A copy lies in its original's folder. Without an original, names count as copies of one image only if their common
    part has a digit: ``im0001_aug0`` and ``im0001_aug1``, but not ``happy_aug0`` and ``happy_aug1``.

    Args:
        root: the dataset's folder.
        paths: its images.

    Returns:
        The group of each image that shares it with another one.
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
    """The name without its suffix; ``photo.2019`` has none."""
    return path.stem if _SUFFIX.fullmatch(path.suffix) else path.name
