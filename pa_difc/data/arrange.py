"""Applies grouping and duplicate rules to a reader's list: which samples are used, and in which split."""

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
    """How a list is to be grouped and deduplicated.

    Raises:
        UserError: ``near_duplicates`` is not one of :data:`.NEAR_DUPLICATES`.
    """

    deduplicate: bool = False  #: leave out exact duplicates
    group_by: str | None = None  #: a column or a pattern; see :func:`.group_by`
    near_duplicates: str | None = None  #: one of :data:`.NEAR_DUPLICATES`; None does not search for them

    def __post_init__(self) -> None:
        if self.near_duplicates not in (None, *NEAR_DUPLICATES):
            raise unknown("near duplicates", str(self.near_duplicates), NEAR_DUPLICATES)


@dataclass(frozen=True)
class Arranged:
    """A list after grouping and deduplication.

    Attributes:
        listing: the remaining samples, in their splits.
        fits: number of samples that the column or pattern of ``group_by`` fits.
        duplicates: exact duplicates that were left out; None if that was not asked for.
        copies: exact duplicates that are still in the list.
        near: near duplicates; None if they were not searched for.
    """

    listing: Listing
    fits: int
    duplicates: Duplicates | None
    copies: Duplicates | None
    near: Duplicates | None

    def near_record(self, how: Arrangement) -> dict[str, Any] | None:
        """Counts and treatment of near duplicates, for records and store manifests; None if not searched for."""
        return None if self.near is None else {**self.near.to_dict(), "treated": how.near_duplicates}


def arrange(listing: Listing, how: Arrangement, digests: Sequence[str] | None = None) -> Arranged:
    """Regroups a list, and leaves out or counts its duplicates.

    Args:
        listing: from a reader.
        how: the rules.
        digests: of its samples by :func:`.content_digests`, if they are known already.

    Raises:
        UserError: the pattern is not a regular expression, or imagehash is needed and not installed.
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
    """A line on near duplicates.

    Args:
        near: from a record: counts, and under "treated" a key of :data:`.NEAR_DUPLICATES`.
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
    """A listing with some of its samples, without columns, which no later step needs."""
    return replace(listing, samples=list(samples), columns={})
