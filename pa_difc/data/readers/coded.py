"""Decodes numbered classes of folders and lists; their meaning depends on the dataset that the user names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...util.errors import UserError
from ..files import merged
from ..labels import plain
from .listing import Listing
from .places import folders_in
from .splits import split_of


def decoded(listing: Listing, codes: Mapping[str, str], no_class: Mapping[str, str] | None = None) -> Listing:
    """Replaces numbers in a listing's labels by words; labels that are words already stay.

    Args:
        listing: with numbers as labels.
        codes: the word of each number.
        no_class: numbers whose samples are left out, with the reason to count them under.

    Raises:
        UserError: a number has no word.
    """
    no_class = no_class or {}
    left_out: Counter[str] = Counter()
    samples = []
    for sample in listing.samples:
        label = sample.label or ""
        if label in no_class:
            left_out[no_class[label]] += 1
        elif label.isdigit() and label not in codes:
            raise UserError(f"{sample.name}: class {label!r} must be one of {', '.join([*codes, *no_class])}")
        else:
            samples.append(replace(sample, label=codes.get(label, label)))
    return replace(listing, samples=samples, left_out=merged([listing.left_out, left_out]))


def has_classes(folder: Path, codes: Mapping[str, str]) -> bool:
    """Whether a folder holds class folders, numbered or named, possibly within split folders."""
    inner = folders_in(folder)
    places = [inner, *(folders_in(p) for p in inner if split_of(p.name))]
    known = {*codes, *map(plain, codes.values())}
    return any(len({plain(p.name) for p in place} & known) > 1 for place in places)
