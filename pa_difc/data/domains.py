"""A dataset as training and scoring take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..functional import imbalance_ratio
from ..util.errors import UserError
from . import toy
from .datasets import STORE, find_dataset
from .decode import BadImage, decode_samples
from .duplicates import Duplicates, content_digests, drop_duplicates
from .faces import FaceSet
from .labels import EXPRESSIONS, UNLABELLED
from .readers import BOTH, Listing
from .store import Store, is_store, open_store, resized


@dataclass(frozen=True)
class Domain:
    """A loaded dataset: what it trains on, what it is scored on, and what was left out."""

    name: str
    train: FaceSet
    test: FaceSet
    bad_images: list[BadImage] = field(default_factory=list)
    excluded: int = 0  #: samples of expressions that are not among the seven
    transductive: bool = False  #: the test split is the training split: a target is scored on what it was adapted to
    duplicates: Duplicates | None = None  #: what was left out as such, if that was asked for
    store: dict[str, Any] | None = None  #: how a store's faces were found and cut out
    features_of: str | None = None  #: key of the run whose network made features of the faces; None: they are faces
    label_shift: dict[str, Any] | None = None  #: the proportions that the splits were resampled to, and their draw

    @property
    def labelled(self) -> bool:
        """Whether there are labels to score by."""
        return bool((self.test.labels != UNLABELLED).all())

    def summary(self) -> dict[str, Any]:
        """Counts, imbalance and fingerprints as plain values, for records."""
        return {
            "name": self.name,
            "train_counts": self.train.class_counts,
            "test_counts": self.test.class_counts,
            "train_fingerprint": self.train.fingerprint,
            "test_fingerprint": self.test.fingerprint,
            "bad_images": [asdict(b) for b in self.bad_images],
            "excluded": self.excluded,
            "transductive": self.transductive,
            "duplicates": self.duplicates and self.duplicates.to_dict(),
            "store": self.store,
            "features_of": self.features_of,
            "label_shift": self.label_shift,
        }


def load_domain(
    name: str, data_root: Path, *, size_px: int, on_bad_image: str = "skip", deduplicate: bool = False
) -> Domain:
    """Loads a dataset's train and test splits.

    Args:
        name: a dataset, or ``folder:PATH``, ``legend:PATH`` or ``store:PATH`` for data of one's own.
        data_root: the folder that holds datasets, each in a folder of its name; a face store is taken as it is.
        size_px: the side of the faces.
        on_bad_image: see :func:`.decode_samples`.
        deduplicate: whether exact duplicates are left out; see :func:`.drop_duplicates`.

    Raises:
        UserError: there is no such dataset, it is not below ``data_root``, or it is not as it should be.
    """
    reader, root = find_dataset(name, data_root)
    if is_store(root) or name.startswith(f"{STORE}:"):
        return _from_store(name, open_store(root), size_px, deduplicate)
    if reader is None:
        return Domain(name, *(_toy_faces(name, split, size_px) for split in ("train", "test")))
    return _from_listing(name, reader(root), root, size_px, on_bad_image, deduplicate)


def require_every_class(domain: Domain) -> None:
    """A source needs samples of all seven classes: its margins are made from their numbers.

    Raises:
        UserError: it has no labels, or it names the empty classes.
    """
    name = domain.name
    require_labels(domain, "a source is learnt from its labels")
    empty = [EXPRESSIONS[k] for k, count in enumerate(domain.train.class_counts) if count == 0]
    if empty:
        raise UserError(f"source {name}: no training sample of {', '.join(empty)}; a source needs every class")


def require_labels(domain: Domain, why: str) -> None:
    """What can't be done without labels.

    Raises:
        UserError: the domain has none.
    """
    if not domain.labelled:
        raise UserError(f"{domain.name} has no labels: {why} (folder:PATH and legend:PATH read them)")


def require_landmarks(*domains: Domain) -> None:
    """A head with landmark branches needs the five points of every face.

    Raises:
        UserError: it names the first domain with a face that has none.
    """
    for domain in domains:
        missing = [np.isnan(faces.landmarks).any(axis=(1, 2)).sum() for faces in (domain.train, domain.test)]
        unknown_points = int(sum(missing))
        if unknown_points:
            raise UserError(
                f"{domain.name}: {unknown_points:,} faces have no landmarks, which the backbone's head needs: make a "
                f"face store (`pa-difc prepare --dataset {domain.name} --out …`) or take "
                "--backbone-head global_only"
            )


def require_same_crop(*domains: Domain) -> None:
    """Faces of all domains must be cut out in one way, or a method adapts to the cut.

    Raises:
        UserError: two stores differ.
    """
    crops = {domain.name: domain.store["crop"] for domain in domains if domain.store}
    if len(set(crops.values())) > 1:
        raise UserError(
            f"the stores are cut out differently ({', '.join(f'{n}: {c}' for n, c in crops.items())}): "
            "prepare them with the same --crop"
        )


def describe_counts(class_counts: Sequence[int], faces: int) -> str:
    """ "4,000 faces, imbalance 17.0:1 (happy 1,555 … fear 92)"; without a ratio if a class is empty."""
    total = sum(class_counts)
    if total == 0:
        return f"{faces:,} faces without labels"
    ranked = sorted(range(len(class_counts)), key=lambda k: class_counts[k])
    low, high = ranked[0], ranked[-1]
    span = f"({EXPRESSIONS[high]} {class_counts[high]:,} … {EXPRESSIONS[low]} {class_counts[low]:,})"
    if class_counts[low] == 0:
        return f"{total:,} faces {span}"
    return f"{total:,} faces, imbalance {imbalance_ratio(class_counts).max().item():.1f}:1 {span}"


def _from_listing(
    name: str, listing: Listing, root: Path, size_px: int, on_bad_image: str, deduplicate: bool
) -> Domain:
    samples, duplicates = listing.samples, None
    if deduplicate:
        samples, duplicates = drop_duplicates(samples, content_digests(samples))
    transductive = any(s.split == BOTH for s in samples)
    sets, bad = {}, []
    for split in (BOTH,) if transductive else ("train", "test"):
        members = [s for s in samples if s.split == split]
        if not members:
            there = ", ".join(f"{n:,} in {other}" for other, n in Counter(s.split for s in samples).items())
            raise UserError(f"dataset {name}: its {split} split is empty, of its images {there} (looked in {root})")
        title = f"reading {name} {split}"
        sets[split], problems = decode_samples(members, size_px, on_bad_image=on_bad_image, title=title)
        bad += problems
    train, test = (sets.get(split, sets.get(BOTH)) for split in ("train", "test"))
    return Domain(name, train, test, bad, listing.excluded, transductive, duplicates)


def _from_store(name: str, store: Store, size_px: int, deduplicate: bool) -> Domain:
    if deduplicate and not store.parameters["deduplicate"]:
        raise UserError(f"{name}: the store {store.path} was prepared without --deduplicate; prepare it again with it")
    transductive = BOTH in store.splits
    splits = (BOTH, BOTH) if transductive else ("train", "test")
    missing = [split for split in splits if split not in store.splits]
    if missing:
        raise UserError(f"{name}: the store {store.path} has no {missing[0]} split (it has {', '.join(store.splits)})")
    train, test = (resized(store.splits[split], size_px) for split in splits)
    manifest = store.manifest
    return Domain(
        name,
        train,
        train if transductive else test,
        bad_images=[BadImage(**entry) for entry in manifest["unreadable"]],
        excluded=manifest["excluded"],
        transductive=transductive,
        duplicates=Duplicates(**manifest["duplicates"]) if manifest["duplicates"] else None,
        store=store.parameters | {"without_face": len(manifest["without_face"]), "identity": manifest["identity"]},
    )


def _toy_faces(name: str, split: str, size_px: int) -> FaceSet:
    images, landmarks, labels = toy.toy_dataset(name, split, size_px)
    return FaceSet(images, landmarks, labels, tuple(f"{name}/{split}/{i:05d}" for i in range(len(images))))
