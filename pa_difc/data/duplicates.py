"""Finds exact duplicates: the same image several times, possibly in two splits or under two labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from .decode import raw_bytes
from .labels import plain
from .readers.listing import Sample


@dataclass(frozen=True)
class Duplicates:
    """Counts of duplicates."""

    groups: int = 0  #: sets of samples that are the same image
    across_splits: int = 0  #: of these, how many lie in more than one split
    conflicting: int = 0  #: of these, how many carry more than one label
    dropped: int = 0  #: samples left out

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    def of(self, kind: str) -> str:
        """As text: "3 groups of exact duplicates (1 across splits, 0 …)"; ``kind`` is "exact" or "near"."""
        groups = f"{self.groups:,} group{'s' * (self.groups != 1)} of {kind} duplicates"
        return f"{groups} ({self.across_splits:,} across splits, {self.conflicting:,} with conflicting labels)"

    @property
    def all_kept(self) -> str:
        """A line for duplicates that were all kept."""
        return f"{self.of('exact')}: all are kept (--deduplicate drops them)"

    def __str__(self) -> str:
        return f"{self.of('exact')}: {self.dropped:,} samples left out"


def content_digests(samples: Sequence[Sample]) -> list[str]:
    """A hash of each sample's image file (or pixels), box and points; an unreadable file is hashed by name.

    Boxes are included so that several faces of one photograph do not count as duplicates.
    """

    def digest(sample: Sample) -> str:
        try:
            content = raw_bytes(sample)
        except OSError:
            content = b"unreadable " + sample.name.encode(errors="surrogateescape")
        points = b"" if sample.landmarks is None else sample.landmarks.tobytes()
        return hashlib.blake2b(content + repr(sample.box).encode() + points, digest_size=16).hexdigest()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(digest, samples, chunksize=64))


def drop_duplicates(samples: Sequence[Sample], digests: Sequence[str]) -> tuple[list[Sample], Duplicates]:
    """Keeps one sample of each image, from the test split if it is there, else the first.

    An image with conflicting labels is left out altogether, because it is unknown which label is right.

    Args:
        samples: in order.
        digests: from :func:`content_digests`.
    """
    groups = _groups(digests)
    report = describe(samples, groups)
    keep = set(range(len(samples))) - {i for members in groups for i in members}
    keep |= {
        min(members, key=lambda i: (samples[i].split != "test", i))
        for members in groups
        if len(_words(samples, members)) == 1
    }
    kept = [s for i, s in enumerate(samples) if i in keep]
    return kept, replace(report, dropped=len(samples) - len(kept))


def count_duplicates(samples: Sequence[Sample], digests: Sequence[str] | None = None) -> Duplicates:
    """Counts exact duplicates without leaving any out.

    Args:
        samples: in order.
        digests: from :func:`content_digests`; None reads and hashes only files that share their size with others.
    """
    if digests is None:
        sizes = [_size(sample) for sample in samples]
        times = Counter((size, sample.box) for size, sample in zip(sizes, samples, strict=True))
        samples = [s for size, s in zip(sizes, samples, strict=True) if size is not None and times[size, s.box] > 1]
        digests = content_digests(samples)
    return describe(samples, _groups(digests))


def describe(samples: Sequence[Sample], groups: Sequence[Sequence[int]]) -> Duplicates:
    """Counts groups of equal samples.

    Args:
        samples: in order.
        groups: positions of samples that are the same image.
    """
    across = sum(len({samples[i].split for i in members}) > 1 for members in groups)
    conflicting = sum(len(_words(samples, members)) > 1 for members in groups)
    return Duplicates(len(groups), across, conflicting)


def _groups(digests: Sequence[str]) -> list[list[int]]:
    """Positions of equal digests, for each digest that occurs more than once."""
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(digests):
        groups.setdefault(digest, []).append(index)
    return [members for members in groups.values() if len(members) > 1]


def _words(samples: Sequence[Sample], members: Sequence[int]) -> set[str]:
    return {plain(samples[i].label or "") for i in members}


def _size(sample: Sample) -> int | None:
    """The bytes of a sample's image; None if there is no such file."""
    if sample.path is None:
        return -1  # not a separate file: it has to be read
    try:
        return sample.path.stat().st_size
    except OSError:
        return None
