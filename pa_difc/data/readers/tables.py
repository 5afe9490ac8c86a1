"""Samples whose list has further columns: splits and groups are taken from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...util.errors import UserError
from ...util.names import shown
from ..grouping import keep_apart
from .folders import settled
from .listing import Listing, Sample, held_out_groups
from .splits import split_of


def listing_of(samples: Sequence[Sample], columns: Mapping[str, Sequence[str]], notes: tuple[str, ...] = ()) -> Listing:
    """The listing of samples whose list may say their splits and groups.

    Args:
        samples: in the order of the list; their splits don't count, their groups do where there is no column of them.
        columns: what else the list says of each sample. One called "split" has train, val or test in their usual words,
            one called "group" whatever is to stay on one side, in any case.
        notes: of the listing.

    Raises:
        UserError: a value of a split is none.
    """
    known = {name.strip().casefold(): values for name, values in columns.items()}
    if (groups := known.get("group")) is not None:
        # One without a group is alone.
        samples = [replace(s, group=group or None) for s, group in zip(samples, groups, strict=True)]
    if (splits := known.get("split")) is None:
        return held_out_groups(samples, notes=notes, columns=columns)
    placed = []
    for sample, word in zip(samples, splits, strict=True):
        if (split := split_of(word)) is None:
            raise UserError(f"{sample.name}: split {shown(word)} must be train, val or test")
        placed.append(replace(sample, split=split))
    return keep_apart(Listing(settled(placed), notes=notes, columns=columns))
