"""The face store: cropped faces with their points and labels, in files that are mapped into memory.

A store keeps the dataset's own labels ("words"); a label set maps them to classes when the store is read. Format 1,
which is still read, had no words: its labels are indices of the seven expressions.

STORE/
  manifest.json      the store's input and each file's hash; written last, when everything else is complete
  images.npy         (N, 3, P, P) uint8, RGB
  landmarks.npy      (N, 5, 2) float32, in pixels of the crop
  boxes.npy          (N, 4) float32: left, top, right, bottom of the face in the image
  confidence.npy     (N,) float32: the detector's, NaN for faces whose points it did not find
  labels.npy         (N,) int64, indices into the manifest's words; all -1 for images without labels
  names.json         N names
  contact_sheet.png  some faces with boxes and points, and some images without a face
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..util.errors import UserError
from ..util.files import file_digest, read_json
from ..util.shapes import ANY, COUNT, FLAG, TEXT, mismatch, one_of
from .faces import FaceSet
from .labelling import Labelling, label_words
from .labels import CONTEMPT, EXPRESSIONS, SEVEN, UNLABELLED
from .protocol import NEAR_DUPLICATES

FORMAT = 2
MANIFEST = "manifest.json"

#: Arrays of a store: dtype, and shape after the first axis, the faces; P stands for the side.
ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "images": ("uint8", (3, "P", "P")),
    "landmarks": ("float32", (5, 2)),
    "boxes": ("float32", (4,)),
    "confidence": ("float32", ()),
    "labels": ("int64", ()),
}
FILES = (*(f"{name}.npy" for name in ARRAYS), "names.json", "contact_sheet.png")

#: Small files, whose hashes are verified whenever a store is opened.
_SMALL = ("landmarks.npy", "labels.npy", "names.json")

_SHAPE: dict[str, Any] = {
    "format": ANY,
    "dataset": TEXT,
    "identity": TEXT,
    "parameters": {"crop": TEXT, "crop_px": COUNT, "deduplicate": FLAG},
    "faces": COUNT,
    "splits": {},
    "without_face": [TEXT],
    "unreadable": [{"name": TEXT, "reason": TEXT}],
    "files": {name: {"bytes": COUNT, "blake2b": TEXT} for name in FILES},
}
#: Further keys of a manifest, by its format.
_DUPLICATES = dict.fromkeys(("groups", "across_splits", "conflicting", "dropped"), COUNT)
_OF_FORMAT: dict[int, dict[str, Any]] = {
    1: {"excluded": COUNT},
    2: {
        "words": [TEXT],
        "left_out?": {},
        "notes?": [TEXT],
        "misplaced?": [{"name": TEXT, "reason": TEXT}],
        "copies?": _DUPLICATES,
        "near_duplicates?": {**_DUPLICATES, "treated": one_of(*NEAR_DUPLICATES)},
    },
}


@dataclass(frozen=True)
class Store:
    """An open store.

    Attributes:
        path: its folder.
        manifest: see :mod:`.prepare`.
        words: the dataset's own labels.
        splits: the faces of each split, mapped from disk; their labels are indices into ``words``.
    """

    path: Path
    manifest: dict[str, Any]
    words: tuple[str, ...]
    splits: dict[str, FaceSet] = field(repr=False)

    @property
    def parameters(self) -> dict[str, Any]:
        """How faces were detected and cropped."""
        return dict(self.manifest["parameters"])

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Faces by split and word; without words if there are no labels."""
        return {split: _count(faces, self.words) for split, faces in self.splits.items()}

    @property
    def excluded(self) -> dict[str, int]:
        """Samples left out when the store was made, by word: format 1 left out contempt."""
        left_out = self.manifest.get("excluded", 0)
        return {CONTEMPT: left_out} if left_out else {}

    def labelled(self, split: str, labelling: Labelling) -> FaceSet:
        """The faces of a split with classes as labels, without those that are left out; images stay on disk."""
        faces = self.splits[split]
        labels, kept = labelling.apply(self.words, faces.labels)
        fingerprint = f"{faces.known_fingerprint}{_labels_mark(self.words, labelling)}"
        if kept is None:
            return replace(faces, labels=labels, known_fingerprint=fingerprint)
        names = tuple(faces.names[i] for i in kept)
        return FaceSet(faces.images, faces.landmarks[kept], labels, names, fingerprint, rows=kept)


def is_store(path: Path) -> bool:
    """Whether a folder has a store's manifest, which is written last."""
    return (path / MANIFEST).is_file()


def open_store(path: Path) -> Store:
    """Opens a store; checks all sizes, and the hashes of small files (see :func:`check_store` for the others).

    Raises:
        UserError: the store is incomplete, of an unknown format, or its arrays are inconsistent.
    """
    manifest = read_manifest(path)
    for name in FILES:
        entry = manifest["files"][name]
        size = (path / name).stat().st_size if (path / name).is_file() else None
        if size != entry["bytes"]:
            raise UserError(f"store {path}: {name} has {size} bytes, not {entry['bytes']}: prepare it again")
        if name in _SMALL and file_digest(path / name) != entry["blake2b"]:
            raise UserError(f"store {path}: {name} is not what was written: prepare it again")
    n, size_px = manifest["faces"], manifest["parameters"]["crop_px"]
    arrays = {name: _map(path / f"{name}.npy", n, size_px, *ARRAYS[name]) for name in ARRAYS}
    names = read_json(path / "names.json")
    labels, words = np.array(arrays["labels"]), tuple(manifest.get("words", SEVEN))
    if (problem := mismatch(names, (TEXT, n))) or not _are_labels(labels, len(words)):
        raise UserError(f"store {path}: {problem or f'labels {np.unique(labels).tolist()}'}: prepare it again")
    splits = {}
    for split, (start, stop) in manifest["splits"].items():
        splits[split] = FaceSet(
            images=arrays["images"][start:stop],
            landmarks=arrays["landmarks"][start:stop],
            labels=labels[start:stop],
            names=tuple(names[start:stop]),
            known_fingerprint=f"{_content(manifest)}-{split}",
        )
    return Store(path, manifest, words, splits)


def _are_labels(labels: NDArray[np.int64], words: int) -> bool:
    """Whether all labels are indices of so many words, or all are :data:`.UNLABELLED`."""
    known = (labels >= 0) & (labels < words)
    return bool(known.all() or (labels == UNLABELLED).all())


def _count(faces: FaceSet, words: tuple[str, ...]) -> dict[str, int]:
    times = Counter(faces.labels[faces.labels != UNLABELLED].tolist())
    return {words[i]: times[i] for i in sorted(times)}


def _labels_mark(words: tuple[str, ...], labelling: Labelling) -> str:
    """A fingerprint's suffix for its classes; empty if they are those of the seven expressions."""
    classes = [labelling.classes.get(word) for word in words]
    try:
        default = label_words("", dict.fromkeys(labelling.classes, 0), EXPRESSIONS).classes
        if classes == [default.get(word) for word in words]:
            return ""
    except UserError:  # some words are not expressions
        pass
    return "-" + hashlib.blake2b(json.dumps(classes).encode(), digest_size=4).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a store.

    Raises:
        UserError: there is none, or this version can't read it.
    """
    manifest: dict[str, Any] = read_json(path / MANIFEST)
    problem = mismatch(manifest, {"format": one_of(*_OF_FORMAT)})
    problem = problem or mismatch(manifest, _SHAPE | _OF_FORMAT[manifest["format"]]) or _bad_splits(manifest)
    if problem is None and len(set(words := manifest.get("words", ()))) < len(words):
        problem = "words holds one twice"
    if problem is None and manifest.get("duplicates") is not None:
        problem = mismatch(manifest["duplicates"], _DUPLICATES, "duplicates")
    if problem:
        raise UserError(f"store {path}: {MANIFEST} is not one that this version reads ({problem})")
    return manifest


def _bad_splits(manifest: dict[str, Any]) -> str | None:
    """The problem with the ranges of the splits, which must be consecutive and cover all faces; None if they are."""
    stop = 0
    for name, span in manifest["splits"].items():
        if problem := mismatch(span, (COUNT, 2), f"splits.{name}"):
            return problem
        if span[0] != stop or span[1] < span[0]:
            return f"splits.{name} is {span}, must begin at {stop}"
        stop = span[1]
    return None if stop == manifest["faces"] else f"splits end at {stop}, of {manifest['faces']} faces"


def check_store(path: Path) -> list[str]:
    """Verifies all files of a store; returns a line for each one that is missing or differs from its hash."""
    manifest = read_manifest(path)
    problems = []
    for name in FILES:
        entry = manifest["files"][name]
        if not (path / name).is_file():
            problems.append(f"{name}: missing")
        elif file_digest(path / name) != entry["blake2b"]:
            problems.append(f"{name}: its content is not what was written")
    return problems


def _content(manifest: dict[str, Any]) -> str:
    """A hash of the hashes of all files but the contact sheet."""
    hashes = [entry["blake2b"] for name, entry in sorted(manifest["files"].items()) if name != "contact_sheet.png"]
    return hashlib.blake2b(" ".join(hashes).encode(), digest_size=8).hexdigest()


def _map(path: Path, n: int, size_px: int, dtype: str, shape: tuple[int | str, ...]) -> NDArray[Any]:
    expected = (n, *(size_px if side == "P" else side for side in shape))
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy parses the header with Python's parser, which can raise anything
        raise UserError(f"{path}: not a readable array ({type(error).__name__}): prepare it again") from None
    if array.shape != expected or array.dtype != dtype:
        raise UserError(f"{path}: {array.dtype} {array.shape}, must be {dtype} {expected}: prepare it again")
    return array
