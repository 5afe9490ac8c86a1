"""Plans a store: its samples, and the hash that identifies an unfinished or finished one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...util.errors import UserError
from ..arrange import Arrangement, arrange
from ..duplicates import Duplicates, content_digests
from ..grouping import require_fit
from ..readers.listing import Listing, Sample
from ..store import FORMAT
from .settings import PrepareSettings

#: Samples per unit of work. A store's content depends on this number, but not on which process did which unit.
CHUNK = 128


@dataclass(frozen=True)
class Plan:
    """The input of a store."""

    dataset: str
    settings: PrepareSettings
    samples: list[Sample]  #: split by split
    duplicates: Duplicates | None  #: exact duplicates that were left out; None if that was not asked for
    identity: str  #: a hash of everything that the store's content depends on
    left_out: dict[str, int] = field(default_factory=dict)  #: files that the reader left out, by reason
    notes: tuple[str, ...] = ()  #: remarks on how the dataset was read
    copies: Duplicates | None = None  #: exact duplicates that are still in the list
    near_duplicates: dict[str, Any] | None = None  #: near duplicates and their treatment; None if not searched for

    @property
    def chunks(self) -> list[Sequence[Sample]]:
        """The units of work."""
        return [self.samples[start : start + CHUNK] for start in range(0, len(self.samples), CHUNK)]


def make_plan(dataset: str, listing: Listing, settings: PrepareSettings) -> Plan:
    """Plans a store for a dataset; reads every image's bytes once, to hash them.

    Raises:
        UserError: no sample is left, or ``group_by`` fits none.
    """
    digests = dict(zip((s.name for s in listing.samples), content_digests(listing.samples), strict=True))
    how = Arrangement(settings.deduplicate, settings.group_by, settings.near_duplicates)
    arranged = arrange(listing, how, list(digests.values()))
    require_fit(settings.group_by, arranged.fits, [dataset], listing.columns)
    if not (samples := arranged.listing.samples):
        raise UserError(f"dataset {dataset}: no sample is left")
    samples = sorted(samples, key=lambda s: s.split)  # stable: the list's order within a split
    return Plan(
        dataset,
        settings,
        samples,
        arranged.duplicates,
        _identity(settings, samples, [digests[s.name] for s in samples]),
        arranged.listing.left_out,
        arranged.listing.notes,
        arranged.copies,
        arranged.near_record(how),
    )


def _identity(settings: PrepareSettings, samples: Sequence[Sample], digests: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps({"format": FORMAT, "chunk": CHUNK, **settings.to_dict()}, sort_keys=True).encode())
    for sample, content in zip(samples, digests, strict=True):
        digest.update(json.dumps([sample.name, sample.label, sample.split, sample.whole, content]).encode())
    return digest.hexdigest()
