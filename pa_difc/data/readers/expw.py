"""Reads ExpW (Zhang et al. 2018, arXiv:1609.06426)."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from ...util.errors import UserError
from .fer2013 import CODES
from .listing import Listing, Sample, held_out_groups, plain_name, read_lines
from .places import find_inner, opened, unlisted

_LISTS = ("label/label.lst", "label.lst")
_IMAGES = ("image/origin", "origin", "image", "images")


def read_expw(root: Path) -> Listing:
    """Reads ExpW: ``label/label.lst`` and ``image/origin/``; each of an image's faces is a sample.

    A line has image, face id, **top, left**, right, bottom, confidence, label. The benchmark's split lists are lost:
    about a fifth is held out as "test", by a hash of the image's name, so that all faces of an image are in one split.
    """
    base = find_inner(
        root,
        lambda folder: None not in (_first(folder, _LISTS), _first(folder, _IMAGES)),
        f"no ExpW here (looked for {_LISTS[0]} and {_IMAGES[0]}/)",
    )
    path, images = _first(base, _LISTS), _first(base, _IMAGES)
    assert path is not None and images is not None
    samples = [_sample(images, where, words) for where, words in read_lines(path)]
    if not samples:
        raise UserError(f"{path}: the list is empty")
    try:
        return held_out_groups(samples, left_out=unlisted(images, samples, path), notes=opened(root, base))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((path for name in names if (path := folder / name).exists()), None)


def _sample(images: Path, where: str, words: list[str]) -> Sample:
    try:
        name, face, top, left, right, bottom, _, code = words
        box = (float(left), float(top), float(right), float(bottom))
        label = CODES[str(int(code))]
    except (ValueError, KeyError):
        raise UserError(
            f"{where}: {' '.join(words)[:80]!r} must be image, id, top, left, right, bottom, confidence, label 0..6"
        ) from None
    if not (all(map(isfinite, box)) and box[0] < box[2] and box[1] < box[3]):
        raise UserError(f"{where}: top {top}, left {left}, right {right}, bottom {bottom} is not a box")
    name = plain_name(name, where, images.name)
    return Sample(f"{name}#{face}", label, "", images / name, box=box, group=name)
