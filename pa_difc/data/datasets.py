"""The datasets by name, and loading one: list, decode, check, summarise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..functional import imbalance_ratio
from ..names import unknown
from . import toy
from .decode import BadImage, decode_samples
from .faces import FaceSet
from .labels import EXPRESSIONS
from .raf_db import read_raf_db
from .readers import Reader, read_class_folders, read_fer2013, read_legend_csv, read_muxspace


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as the commands know it."""

    about: str
    reader: Reader | None  #: None for faces that are drawn, not read
    obtain: str = ""  #: where the set comes from and under which terms
    layout: str = ""  #: what is looked for below ``--data-root``


DATASETS: dict[str, DatasetSpec] = {
    "toy_studio": DatasetSpec("drawn faces, clean and frontal, RAF-DB's class proportions: the default source", None),
    "toy_street": DatasetSpec("drawn faces in pose, bad light, blur and occlusion: the default target", None),
    "raf_db": DatasetSpec(
        "RAF-DB basic (Li et al. 2017): 100×100 aligned web photographs, 12,271 / 3,068, the paper's source",
        read_raf_db,
        "its authors, on request (www.whdeng.cn/RAF/model1.html); non-commercial research",
        "raf_db/basic/EmoLabel/list_patition_label.txt and raf_db/basic/Image/aligned/*_aligned.jpg",
    ),
    "fer2013": DatasetSpec(
        "FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 48×48 gray web photographs, 28,709 / 3,589 / 3,589",
        read_fer2013,
        "Kaggle, 'Challenges in Representation Learning: Facial Expression Recognition Challenge'; research use",
        "fer2013/fer2013.csv, fer2013/icml_face_data.csv or fer2013/{train,test}/<class>/*.jpg",
    ),
    "muxspace": DatasetSpec(
        "muxspace/facial_expressions: gray news photographs, extremely imbalanced, no official split",
        read_muxspace,
        "github.com/muxspace/facial_expressions; its licence file says Apache-2.0",
        "muxspace/legend.csv and muxspace/images/*.jpg",
    ),
}

#: Readers for data of the user's own: "folder:NAME" and "legend:NAME", NAME a path below --data-root or absolute.
OWN_DATA: dict[str, Reader] = {"folder": read_class_folders, "legend": read_legend_csv}


@dataclass(frozen=True)
class Domain:
    """A loaded dataset: what it trains on, what it is scored on, and what was left out."""

    name: str
    train: FaceSet
    test: FaceSet
    bad_images: list[BadImage] = field(default_factory=list)
    excluded: int = 0  #: samples of expressions that are not among the seven

    def summary(self) -> dict[str, Any]:
        """Counts, imbalance and fingerprints as plain values, for records."""
        return {
            "name": self.name,
            "train_counts": self.train.class_counts,
            "test_counts": self.test.class_counts,
            "train_fingerprint": self.train.fingerprint,
            "test_fingerprint": self.test.fingerprint,
            "bad_images": [{"name": b.name, "reason": b.reason} for b in self.bad_images],
            "excluded": self.excluded,
        }


def load_domain(name: str, data_root: Path, *, size_px: int, on_bad_image: str = "skip") -> Domain:
    """Loads a dataset's train and test splits.

    Args:
        name: a key of :data:`DATASETS`, or ``folder:PATH`` or ``legend:PATH`` for data of one's own.
        data_root: the folder that holds datasets, each in a folder of its name.
        size_px: the side of the faces.
        on_bad_image: see :func:`.decode_samples`.

    Raises:
        UserError: there is no such dataset, it is not below ``data_root``, or it is not as it should be.
    """
    reader, root = _find(name, data_root)
    if reader is None:
        return Domain(name, *(_toy_faces(name, split, size_px) for split in ("train", "test")))
    listing = reader(root)
    bad: list[BadImage] = []
    sets = []
    for split in ("train", "test"):
        samples = [s for s in listing.samples if s.split == split]
        if not samples:
            raise UserError(f"dataset {name}: its {split} split is empty (looked in {root})")
        faces, problems = decode_samples(samples, size_px, on_bad_image=on_bad_image, title=f"reading {name} {split}")
        sets.append(faces)
        bad += problems
    return Domain(name, *sets, bad_images=bad, excluded=listing.excluded)


def require_every_class(faces: FaceSet, name: str) -> None:
    """A source needs samples of all seven classes: its margins are made from their numbers.

    Raises:
        UserError: it names the empty classes.
    """
    empty = [EXPRESSIONS[k] for k, count in enumerate(faces.class_counts) if count == 0]
    if empty:
        raise UserError(f"source {name}: no training sample of {', '.join(empty)}; a source needs every class")


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
                f"{domain.name}: {unknown_points:,} faces have no landmarks, which the backbone's head needs: "
                "take --backbone-head global_only"
            )


def describe_counts(class_counts: Sequence[int]) -> str:
    """ "4,000 faces, imbalance 17.0:1 (happy 1,555 … fear 92)"; an empty class has no ratio."""
    total = sum(class_counts)
    ranked = sorted(range(len(class_counts)), key=lambda k: class_counts[k])
    low, high = ranked[0], ranked[-1]
    span = f"({EXPRESSIONS[high]} {class_counts[high]:,} … {EXPRESSIONS[low]} {class_counts[low]:,})"
    if class_counts[low] == 0:
        return f"{total:,} faces {span}"
    return f"{total:,} faces, imbalance {imbalance_ratio(class_counts).max().item():.1f}:1 {span}"


def _find(name: str, data_root: Path) -> tuple[Reader | None, Path]:
    """The reader for a dataset and the folder that it should read."""
    kind, colon, path = name.partition(":")
    if colon and kind in OWN_DATA:
        root = data_root / path
        if not root.is_dir():
            raise UserError(f"dataset {name}: no folder {root}")
        return OWN_DATA[kind], root
    if name not in DATASETS:
        raise unknown("dataset", name, [*DATASETS, *(f"{k}:PATH" for k in OWN_DATA)])
    spec = DATASETS[name]
    root = data_root / name
    if spec.reader is not None and not root.is_dir():
        raise UserError(
            f"dataset {name}: no folder {root} (looked for {spec.layout}). Get it from: {spec.obtain}. "
            "No data at hand? --source toy_studio --target toy_street needs none."
        )
    return spec.reader, root


def _toy_faces(name: str, split: str, size_px: int) -> FaceSet:
    images, landmarks, labels = toy.toy_dataset(name, split, size_px)
    return FaceSet(images, landmarks, labels, tuple(f"{name}/{split}/{i:05d}" for i in range(len(images))))
