"""Keeps groups on one side of a split: a person's images, an image and its copies, the frames of a film."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..util.errors import UserError
from ..util.names import shown
from .files import merged
from .readers.listing import Listing, Sample, held_out_groups

STRADDLING = "training samples whose group is in the test split"


def keep_apart(listing: Listing) -> Listing:
    """The listing with every group on one side of the split.

    If pa_difc made the split, a hash of the group decides the side. If the split is the dataset's own, the test split
    stays, and training samples of its groups are left out and counted.

    Args:
        listing: whose samples have their groups set.
    """
    if listing.by_hash:
        return replace(listing, samples=held_out_groups(listing.samples).samples)
    tested = {s.group for s in listing.samples if s.split == "test" and s.group is not None}
    kept = [i for i, s in enumerate(listing.samples) if s.split == "test" or s.group not in tested]
    return _take(listing, kept, STRADDLING)


def group_by(listing: Listing, rule: str) -> tuple[Listing, int]:
    """Regroups a listing by a column of its list, or else by a pattern in its names; also counts the fitting samples.

    Args:
        listing: from a reader.
        rule: a column's name, in upper or lower case; or a regular expression that is searched for in each name, whose
            first group, or else whole match, is the key. Samples that it does not fit keep their group.

    Raises:
        UserError: the rule is neither a column nor a regular expression.
    """
    keys = _keys(listing, rule)
    fits = sum(key is not None for key in keys)
    if not fits:
        return listing, 0
    samples = [s if k is None else replace(s, group=k) for s, k in zip(listing.samples, keys, strict=True)]
    return keep_apart(replace(listing, samples=samples)), fits


def require_fit(rule: str | None, fits: int, names: Iterable[str], columns: Iterable[str] = ()) -> None:
    """Refuses a rule that fits no sample.

    Args:
        rule: of :func:`group_by`; None without one.
        fits: number of samples that it fits.
        names: the datasets that it was tried on.
        columns: of their lists.

    Raises:
        UserError: the rule fits no sample.
    """
    if rule is not None and not fits:
        found = f" (columns: {', '.join(columns)})" if columns else ""
        raise UserError(f"--group-by {shown(rule)}: fits no name of {' or '.join(names)}, and is no column{found}")


def join_groups(listing: Listing, clusters: Iterable[Sequence[int]]) -> Listing:
    """The listing with clusters of samples, and all of their groups, merged into one group each.

    Args:
        listing: from a reader.
        clusters: positions of samples that belong together.
    """
    samples = listing.samples
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parent.get(key, key)) != key:
            key = above
        return key

    for cluster in clusters:
        keys = sorted({root(_key(samples[i])) for i in cluster})
        for key in keys[1:]:
            parent[key] = keys[0]
    heads = set(parent.values())
    joined = [replace(s, group=root(_key(s))) if _key(s) in parent or _key(s) in heads else s for s in samples]
    return keep_apart(replace(listing, samples=joined))


def _key(sample: Sample) -> str:
    return sample.name if sample.group is None else sample.group


def _keys(listing: Listing, rule: str) -> list[str | None]:
    columns = {name.casefold(): values for name, values in listing.columns.items()}
    if (values := columns.get(rule.strip().casefold())) is not None:
        return [value or None for value in values]
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UserError(f"--group-by {shown(rule)}: neither a column nor a regular expression ({error})") from None
    found = (pattern.search(sample.name) for sample in listing.samples)
    return [None if m is None else (m[1] if pattern.groups and m[1] is not None else m[0]) or None for m in found]


def _take(listing: Listing, kept: Sequence[int], reason: str) -> Listing:
    """A listing with some of its samples; the others are counted under a reason."""
    lost = len(listing.samples) - len(kept)
    if not lost:
        return listing
    return replace(
        listing,
        samples=[listing.samples[i] for i in kept],
        left_out=merged([listing.left_out, {reason: lost}]),
        columns={name: [values[i] for i in kept] for name, values in listing.columns.items()},
    )
