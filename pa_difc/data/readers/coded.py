"""Class folders and lists whose classes are numbers: what they mean, the set that the user names says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...util.errors import UserError
from ..files import merged
from .listing import Listing
from .places import folders_in
from .splits import split_of


def decoded(listing: Listing, codes: Mapping[str, str], no_class: Mapping[str, str] | None = None) -> Listing:
    """A listing with words for numbers; words that are none stay as they are.

    Args:
        listing: with numbers for labels.
        codes: the word of each number.
        no_class: numbers whose samples are left out, and the reason that they are counted under.

    Raises:
        UserError: a number is not among them, or none is left.
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


def has_coded_splits(folder: Path, codes: Mapping[str, str]) -> bool:
    """Whether a folder holds split folders with numbered class folders in them."""
    splits = [p for p in folders_in(folder) if split_of(p.name)]
    return any(p.name in codes for split in splits for p in folders_in(split))
