"""Loads a domain by its dataset's name: finds, reads, labels and decodes it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..util.errors import UserError
from .arrange import Arrangement, arrange
from .datasets import STORE, find_dataset
from .decode import BadImage, decode_samples
from .domains import Domain
from .duplicates import Duplicates
from .faces import FaceSet
from .files import left_out_line
from .labelling import Labelling, empty_line, label_words
from .labels import EXPRESSIONS, SEVEN, LabelSet
from .readers.listing import BOTH, Listing, Sample
from .rescaling import rescaled
from .store import Store, is_store, open_store
from .toy import toy_dataset


def load_domain(
    name: str,
    data_root: Path,
    *,
    size_px: int,
    labels: LabelSet | None = EXPRESSIONS,
    on_bad_image: str = "skip",
    deduplicate: bool = False,
    group_by: str | None = None,
    near_duplicates: str | None = None,
) -> Domain:
    """Loads a dataset's train and test splits.

    Args:
        name: a dataset, or ``folder:PATH``, ``legend:PATH``, ``store:PATH`` … for the user's own data.
        data_root: the folder that holds the datasets or their face stores, each in a folder of its name.
        size_px: side of the faces.
        labels: the classes; None makes the dataset's own words the classes.
        on_bad_image: see :func:`.decode_samples`.
        deduplicate: leave out exact duplicates; see :func:`.drop_duplicates`.
        group_by: a column of the dataset's list, or a pattern in its names, that groups samples to be kept on one side
            of the split.
        near_duplicates: "keep", "group" or "drop", see :func:`.arrange`; None does not search for them.

    Raises:
        UserError: there is no such dataset, it is not below ``data_root``, its files are malformed, or it has a label
            that the label set does not know.
    """
    reader, root = find_dataset(name, data_root)
    how = Arrangement(deduplicate, group_by, near_duplicates)
    if is_store(root) or name.startswith(f"{STORE}:"):
        return _from_store(name, open_store(root), labels, size_px, how)
    if reader is None:
        return _from_toy(name, labels, size_px)
    return _from_listing(name, reader(root), root, labels, size_px, on_bad_image, how)


def _from_listing(
    name: str,
    listing: Listing,
    root: Path,
    labels: LabelSet | None,
    size_px: int,
    on_bad_image: str,
    how: Arrangement,
) -> Domain:
    arranged = arrange(listing, how)
    listing = arranged.listing
    labelling = label_words(name, Counter(s.label for s in listing.samples if s.label is not None), labels)
    sets: dict[str, FaceSet] = {}
    bad: list[BadImage] = []
    transductive = any(s.split == BOTH for s in listing.samples)
    for split in (BOTH,) if transductive else ("train", "test"):
        members, classes = _members(name, listing, split, labelling, root)
        title = f"reading {name} {split}"
        sets[split], problems = decode_samples(members, classes, size_px, on_bad_image=on_bad_image, title=title)
        bad += problems
    train, test = (sets[BOTH if transductive else split] for split in ("train", "test"))
    return Domain(
        name,
        train,
        test,
        label_set=labelling.label_set,
        bad_images=bad,
        excluded=labelling.excluded,
        transductive=transductive,
        duplicates=arranged.duplicates,
        left_out=listing.left_out,
        copies=arranged.copies,
        near_duplicates=arranged.near_record(how),
        fits=arranged.fits,
        notes=listing.notes,
        cut=_cut(listing),
    )


def _cut(listing: Listing) -> str:
    """How :func:`.decode_samples` crops a list's faces, by a store's name for it if there is one."""
    given = all(sample.whole or sample.box is not None for sample in listing.samples)
    return "cdfer" if given else "the centre square"


def _members(
    name: str, listing: Listing, split: str, labelling: Labelling, root: Path
) -> tuple[list[Sample], list[int]]:
    """The samples of a split that have a class, and their classes."""
    classed = [(s, k) for s in listing.samples if (k := labelling.label(s.label)) is not None]
    members = [(s, k) for s, k in classed if s.split == split]
    if not members:
        numbers = Counter(s.split for s, _ in classed)
        left_out = f"; {line}" if (line := left_out_line(listing.left_out)) else ""
        raise UserError(f"dataset {name}: {empty_line(split, numbers)} (looked in {root}){left_out}")
    return [s for s, _ in members], [k for _, k in members]


def _from_store(name: str, store: Store, labels: LabelSet | None, size_px: int, how: Arrangement) -> Domain:
    _require_arranged(name, store, how)
    transductive = BOTH in store.splits
    splits = (BOTH, BOTH) if transductive else ("train", "test")
    missing = [split for split in splits if split not in store.splits]
    if missing:
        raise UserError(f"{name}: the store {store.path} has no {missing[0]} split (it has {', '.join(store.splits)})")
    counts: Counter[str] = Counter()
    for row in store.counts.values():
        counts.update(row)
    _require_whole(name, store, labels)
    labelling = label_words(name, counts, labels)
    train, test = (store.labelled(split, labelling) for split in splits)
    for split, faces in zip(splits, (train, test), strict=True):
        if not len(faces):
            raise UserError(f"{name}: no face in the {split} split of the store {store.path} is of any class")
    train = _resized(train, size_px)
    manifest = store.manifest
    return Domain(
        name,
        train,
        train if transductive else _resized(test, size_px),
        label_set=labelling.label_set,
        bad_images=[BadImage(**entry) for entry in (*manifest["unreadable"], *manifest.get("misplaced", ()))],
        excluded=store.excluded | labelling.excluded,
        left_out=manifest.get("left_out", {}),
        transductive=transductive,
        duplicates=Duplicates(**manifest["duplicates"]) if manifest["duplicates"] else None,
        copies=Duplicates(**manifest["copies"]) if manifest.get("copies") else None,
        near_duplicates=manifest.get("near_duplicates"),
        notes=tuple(manifest.get("notes", ())),
        fits=len(train) + len(test) if how.group_by in (None, store.parameters.get("group_by")) else 0,
        store=store.parameters | {"without_face": len(manifest["without_face"]), "identity": manifest["identity"]},
    )


def _require_arranged(name: str, store: Store, how: Arrangement) -> None:
    """Refuses rules that were not applied when the store was made."""
    was = store.parameters
    asked = {"--deduplicate": how.deduplicate and not was["deduplicate"]}
    if how.near_duplicates is not None:
        asked[f"--near-duplicates {how.near_duplicates}"] = was.get("near_duplicates") != how.near_duplicates
    for flag, lacks in asked.items():
        if lacks:
            raise UserError(f"{name}: the store {store.path} was prepared without {flag}; prepare it again with it")


def _require_whole(name: str, store: Store, labels: LabelSet | None) -> None:
    """Refuses a store of version 0.1, which left out contempt, if the label set has a class for it."""
    for word, number in store.excluded.items():
        try:
            wanted = labels is None or labels.index(word) is not None
        except UserError:  # the label set does not know the word
            wanted = False
        if wanted:
            raise UserError(
                f"{name}: the store {store.path} was made by version 0.1, which left out {number:,} faces of {word}; "
                "prepare it again to another --out"
            )


def _from_toy(name: str, labels: LabelSet | None, size_px: int) -> Domain:
    drawn = {split: toy_dataset(name, split, size_px) for split in ("train", "test")}
    counts = Counter(SEVEN[k] for *_, classes in drawn.values() for k in classes.tolist())
    labelling = label_words(name, counts, labels)
    sets = {}
    for split, (images, points, classes) in drawn.items():
        kept_labels, kept = labelling.apply(SEVEN, classes)
        names = tuple(f"{name}/{split}/{i:05d}" for i in range(len(images)))
        if kept is not None:
            images, points, names = images[kept], points[kept], tuple(names[i] for i in kept)
        sets[split] = FaceSet(images, points, kept_labels, names)
    return Domain(name, sets["train"], sets["test"], labelling.label_set, excluded=labelling.excluded)


def _resized(faces: FaceSet, size_px: int) -> FaceSet:
    """The faces and points at another size, in memory; the same set if the size is right already."""
    if faces.size_px == size_px:
        return faces
    images = np.empty((len(faces), 3, size_px, size_px), dtype=np.uint8)
    for start in range(0, len(faces), 256):
        indices = np.arange(start, min(start + 256, len(faces)))
        images[start : start + 256] = rescaled(faces.pixels(indices), size_px)
    scale = np.float32(size_px / faces.size_px)
    fingerprint = faces.known_fingerprint and f"{faces.known_fingerprint}-{size_px}px"
    points = faces.landmarks * scale
    return replace(faces, images=images, landmarks=points, known_fingerprint=fingerprint, rows=None)
