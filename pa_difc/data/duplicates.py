"""Exact duplicates: the same image more than once, in two splits, or under two labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from .decode import raw_bytes
from .labels import plain
from .readers.listing import Sample


@dataclass(frozen=True)
class Duplicates:
    """What was found and left out."""

    groups: int = 0  #: sets of samples that are the same image
    across_splits: int = 0  #: of these, how many lie in more than one split
    conflicting: int = 0  #: of these, how many carry more than one label
    dropped: int = 0  #: samples left out

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.groups} groups of exact duplicates ({self.across_splits} across splits, {self.conflicting} with "
            f"conflicting labels): {self.dropped} samples left out"
        )


def content_digests(samples: Sequence[Sample]) -> list[str]:
    """A hash of each sample's image file (or pixels) and box; of an unreadable file, of its absence.

    Faces of one photograph have boxes of their own, so they are no duplicates of each other.
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
    """Keeps one sample of each image.

    An image in the test split leaves the others; of several in one split the first stays. An image with conflicting
    labels is left out altogether: nobody knows which is right.

    Args:
        samples: in their order.
        digests: of :func:`content_digests`.
    """
    groups: dict[str, list[int]] = {}
    for index, digest in enumerate(digests):
        groups.setdefault(digest, []).append(index)
    repeated = [members for members in groups.values() if len(members) > 1]
    keep = {members[0] for members in groups.values() if len(members) == 1}
    conflicting = across = 0
    for members in repeated:
        across += len({samples[i].split for i in members}) > 1
        if len({plain(samples[i].label or "") for i in members}) > 1:
            conflicting += 1
        else:
            keep.add(min(members, key=lambda i: (samples[i].split != "test", i)))
    kept = [s for i, s in enumerate(samples) if i in keep]
    return kept, Duplicates(len(repeated), across, conflicting, len(samples) - len(kept))
