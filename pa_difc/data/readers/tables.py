"""Takes splits and groups of samples from further columns of their list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...util.errors import UserError
from ...util.names import shown
from ..grouping import keep_apart
from .folders import settled
from .listing import Listing, Sample, held_out_groups
from .splits import split_of

#: Columns of splits; all but the first are ignored if they hold other words than splits.
_SPLITS = ("split", "usage", "subset", "partition")
_GROUPS = ("group", "person", "person_id", "subject", "subject_id")


def listing_of(
    samples: Sequence[Sample],
    columns: Mapping[str, Sequence[str]],
    notes: tuple[str, ...] = (),
    left_out: Mapping[str, int] | None = None,
) -> Listing:
    """The listing of samples, with splits and groups from the list's columns.

    Args:
        samples: in the order of the list; their splits are replaced, and their groups if there is a column of groups.
        columns: the list's other columns. One named "split" must have usual words for train, val or test, others of
            :data:`_SPLITS` may; one of :data:`_GROUPS` has the groups. Names are matched without regard to case.
        notes: of the listing.
        left_out: files that are not samples, by reason.

    Raises:
        UserError: a word in "split" is not a split, or two columns disagree.
    """
    known = {name.strip().casefold(): name for name in columns}
    if (column := next((known[name] for name in _GROUPS if name in known), None)) is not None:
        # A sample with an empty cell is a group of its own.
        samples = [replace(s, group=group or None) for s, group in zip(samples, columns[column], strict=True)]
        notes = (*notes, f"groups are those of the column {column}")
    if (splits := _splits(samples, {name: columns[known[name]] for name in _SPLITS if name in known})) is None:
        return held_out_groups(samples, notes=notes, columns=columns, left_out=dict(left_out or {}))
    placed = [replace(sample, split=split) for sample, split in zip(samples, splits, strict=True)]
    return keep_apart(Listing(settled(placed), dict(left_out or {}), notes, columns=columns))


def _splits(samples: Sequence[Sample], columns: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The splits of a list; None if no column has them."""
    said: dict[str, list[str]] = {}
    for name, words in columns.items():
        splits = {word: split_of(word) for word in dict.fromkeys(words)}
        strange = next((word for word, split in splits.items() if split is None), None)
        if strange is None:
            said[name] = [splits[word] or "" for word in words]
        elif name == _SPLITS[0]:
            sample = samples[words.index(strange)]
            raise UserError(f"{sample.name}: split {shown(strange)} must be train, val or test")
    for sample, *found in zip(samples, *said.values(), strict=True):
        if len(set(found)) > 1:
            columns_say = ", ".join(f"{name} says {split}" for name, split in zip(said, found, strict=True))
            raise UserError(f"{sample.name}: its columns disagree on the split ({columns_say}): keep the right one")
    return next(iter(said.values()), None)
