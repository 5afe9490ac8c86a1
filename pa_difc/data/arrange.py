"""From a reader's list to the samples that are taken, and the split that they are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..util.names import unknown
from .duplicates import Duplicates, content_digests, count_duplicates, describe, drop_duplicates
from .grouping import group_by, join_groups
from .near import find_near
from .protocol import NEAR_DUPLICATES
from .readers.listing import OUR_SPLIT, Listing


@dataclass(frozen=True)
class Arrangement:
    """What is asked for.

    Raises:
        UserError: there is no such way to treat near duplicates.
    """

    deduplicate: bool = False  #: exact duplicates are left out
    group_by: str | None = None  #: a column or a pattern; see :func:`.group_by`
    near_duplicates: str | None = None  #: one of :data:`.NEAR_DUPLICATES`; None: they are not looked for

    def __post_init__(self) -> None:
        if self.near_duplicates not in (None, *NEAR_DUPLICATES):
            raise unknown("near duplicates", str(self.near_duplicates), NEAR_DUPLICATES)


@dataclass(frozen=True)
class Arranged:
    """What came of it.

    Attributes:
        listing: what is left, in its splits.
        fits: how many samples have a group by the column or pattern.
        duplicates: exact ones that were left out; None if that was not asked for.
        copies: exact ones that are still there.
        near: near ones; None if they were not looked for.
    """

    listing: Listing
    fits: int
    duplicates: Duplicates | None
    copies: Duplicates | None
    near: Duplicates | None

    def near_record(self, how: Arrangement) -> dict[str, Any] | None:
        """What became of near duplicates, as records and stores have it."""
        return None if self.near is None else {**self.near.to_dict(), "treated": how.near_duplicates}


def arrange(listing: Listing, how: Arrangement, digests: Sequence[str] | None = None) -> Arranged:
    """Regroups a list, leaves out duplicates, or says how many there are.

    Args:
        listing: from a reader.
        how: what is asked for.
        digests: of its samples, if they are known.

    Raises:
        UserError: the pattern is none, or imagehash is needed and not installed.
    """
    known = dict(zip((s.name for s in listing.samples), digests, strict=True)) if digests is not None else {}
    fits = 0
    if how.group_by is not None:
        listing, fits = group_by(listing, how.group_by)
    duplicates = copies = near = None
    if how.deduplicate:
        samples = listing.samples
        found = [known[s.name] for s in samples] if known else content_digests(samples)
        samples, duplicates = drop_duplicates(samples, found)
        listing = _with(listing, samples)
    else:
        samples = listing.samples
        copies = count_duplicates(samples, [known[s.name] for s in samples] if known else None)
    if how.near_duplicates is not None:
        listing, near = _treat_near(listing, how.near_duplicates)
    if listing.by_hash:
        listing = replace(listing, notes=(*listing.notes, OUR_SPLIT))
    return Arranged(listing, fits, duplicates, copies, near)


def near_line(near: dict[str, Any]) -> str:
    """What became of near duplicates, for people.

    Args:
        near: as a record has it: counts, and "treated" as :data:`.NEAR_DUPLICATES`.
    """
    counts = Duplicates(**{key: value for key, value in near.items() if key != "treated"})
    left_out = f", {counts.dropped:,} samples left out" if counts.dropped else ""
    return f"{counts.of('near')}, exact ones included: {NEAR_DUPLICATES[near['treated']]}{left_out}"


def _treat_near(listing: Listing, how: str) -> tuple[Listing, Duplicates]:
    samples = listing.samples
    groups = find_near(samples)
    if how == "drop":
        of = {i: f"near {number}" for number, members in enumerate(groups) for i in members}
        kept, counts = drop_duplicates(samples, [of.get(i, f"alone {i}") for i in range(len(samples))])
        return _with(listing, kept), counts
    counts = describe(samples, groups)
    if how == "keep":
        return listing, counts
    joined = join_groups(listing, groups)
    return joined, replace(counts, dropped=len(samples) - len(joined.samples))


def _with(listing: Listing, samples: Sequence[Any]) -> Listing:
    """A listing with some of its samples; what their list says beside is not needed any more."""
    return replace(listing, samples=list(samples), columns={})
