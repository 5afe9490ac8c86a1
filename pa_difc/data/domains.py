"""A domain: a dataset loaded for training and scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..util.errors import UserError
from ..util.process import quoted
from .decode import BadImage
from .duplicates import Duplicates
from .faces import FaceSet, Samples
from .labels import EXPRESSIONS, UNLABELLED, LabelSet
from .protocol import NO_SOURCE


@dataclass(frozen=True)
class Domain:
    """A loaded dataset: its training and test faces, and what was left out.

    Raises:
        ValueError: a label is not a class of the label set.
    """

    name: str
    train: Samples
    test: Samples
    label_set: LabelSet = EXPRESSIONS
    bad_images: list[BadImage] = field(default_factory=list)
    excluded: dict[str, int] = field(default_factory=dict)  #: samples that the label set leaves out, by label
    transductive: bool = False  #: the test split is the training split: methods are scored on faces they adapted to
    duplicates: Duplicates | None = None  #: exact duplicates that were left out; None if that was not asked for
    store: dict[str, Any] | None = None  #: how a store's faces were detected and cropped
    features_of: str | None = None  #: key of the run whose network extracted these features; None for faces
    features_seed: int | None = None  #: seed of that run; None for faces, or if the network is a pretrained one
    left_out: dict[str, int] = field(default_factory=dict)  #: files that are not samples, by reason
    copies: Duplicates | None = None  #: exact duplicates that are still in the dataset
    near_duplicates: dict[str, Any] | None = None  #: near duplicates and their treatment; None if not searched for
    fits: int = 0  #: number of samples that the pattern or column of ``group_by`` fits
    notes: tuple[str, ...] = ()  #: remarks on how the dataset was read
    cut: str | None = None  #: how faces were cropped from raw images; None for a store's or synthetic faces
    label_shift: dict[str, Any] | None = None  #: the proportions that the splits were resampled to, and their draw
    part_of: dict[str, int] | None = None  #: sizes of the splits before a time budget reduced them

    def __post_init__(self) -> None:
        top = max(int(part.labels.max(initial=UNLABELLED)) for part in (self.train, self.test))
        if top >= len(self.label_set):
            raise ValueError(f"{self.name}: label {top}, with {len(self.label_set)} classes")

    @property
    def empty(self) -> bool:
        """Whether there are no faces: the domain stands for a missing source."""
        return not len(self.train)

    @property
    def labelled(self) -> bool:
        """Whether all test samples have labels."""
        return bool((self.test.labels != UNLABELLED).all())

    @property
    def train_counts(self) -> list[int]:
        """Training samples per class, ``(K,)``; 0 for a class without samples."""
        return _counts(self.train, len(self.label_set))

    @property
    def test_counts(self) -> list[int]:
        """Test samples per class, ``(K,)``."""
        return _counts(self.test, len(self.label_set))

    def missing(self, split: str) -> list[str]:
        """The classes without a sample in a split, "train" or "test"; empty if the split has no labels."""
        counts = {"train": self.train_counts, "test": self.test_counts}[split]
        return [name for name, n in zip(self.label_set.names, counts, strict=True) if not n] if any(counts) else []

    def summary(self) -> dict[str, Any]:
        """Counts, imbalance and fingerprints as plain values, for records."""
        return {
            "name": self.name,
            "train_counts": self.train_counts,
            "test_counts": self.test_counts,
            "train_fingerprint": self.train.fingerprint,
            "test_fingerprint": self.test.fingerprint,
            "bad_images": [asdict(b) for b in self.bad_images],
            "excluded": self.excluded,
            "left_out": self.left_out,
            "notes": list(self.notes),
            "cut": self.cut,
            "transductive": self.transductive,
            "duplicates": self.duplicates and self.duplicates.to_dict(),
            "copies": self.copies and self.copies.to_dict(),
            "near_duplicates": self.near_duplicates,
            "store": self.store,
            "features_of": self.features_of,
            "features_seed": self.features_seed,
            "label_shift": self.label_shift,
            "part_of": self.part_of,
        }


def no_source(target: Domain) -> Domain:
    """An empty source with the target's classes, for methods that need no source."""
    nothing = target.train.take(np.arange(0))
    return Domain(NO_SOURCE, nothing, nothing, target.label_set)


def require_source(domain: Domain) -> None:
    """Checks that a source has labels, and training samples of at least two classes.

    Raises:
        UserError: it has no labels, or only one class.
    """
    require_labels(domain, "a source is learnt from its labels")
    there = [name for name, n in zip(domain.label_set.names, domain.train_counts, strict=True) if n]
    if len(there) < 2:
        raise UserError(f"source {domain.name}: all training samples are {there[0]!r}; a source needs two classes")


def require_labels(domain: Domain, why: str) -> None:
    """Checks that a domain has labels.

    Args:
        domain: the data.
        why: what needs them, for the error.

    Raises:
        UserError: it has no labels.
    """
    if not domain.labelled:
        raise UserError(f"{domain.name} has no labels: {why} (folder:PATH and legend:PATH read them)")


def require_landmarks(*domains: Domain) -> None:
    """Checks that every face has its five points, as a head with landmark branches needs.

    Raises:
        UserError: a domain has faces without points.
    """
    for domain in domains:
        sets = [faces for faces in (domain.train, domain.test) if isinstance(faces, FaceSet)]
        if missing := sum(int(np.isnan(faces.landmarks).any(axis=(1, 2)).sum()) for faces in sets):
            raise UserError(
                f"{domain.name}: {missing:,} faces have no landmarks, which the backbone's head needs: make a "
                f"face store (`pa-difc prepare --dataset {quoted(domain.name)} --out …`) or use "
                "--feature-head global_only"
            )


def require_same_crop(*domains: Domain) -> None:
    """Checks that all stores were cropped in the same way: otherwise a method adapts to the crop.

    Raises:
        UserError: two stores' crops differ.
    """
    crops = {domain.name: domain.store["crop"] for domain in domains if domain.store}
    if len(set(crops.values())) > 1:
        raise UserError(
            f"the stores are cropped differently ({', '.join(f'{n}: {c}' for n, c in crops.items())}): "
            "prepare them with the same --crop"
        )


def cut_differently(source: Domain, target: Domain) -> str | None:
    """A warning if one domain is a store and the other raw images that are cropped in another way; else None."""
    for raw, other in ((source, target), (target, source)):
        if raw.cut is not None and other.store and raw.cut != (crop := other.store["crop"]):
            return (
                f"warning: {raw.name}'s raw images are cropped as {raw.cut}, and {other.name}'s store as {crop}: a "
                "method adapts to that difference too (pa-difc prepare "
                f"--dataset {quoted(raw.name)} --crop {crop} --out …)"
            )
    return None


def describe_counts(class_counts: Sequence[int], faces: int, names: Sequence[str]) -> str:
    """Counts as text: "4,000 faces, imbalance 17.0:1 (happy 1,555 … fear 92)"; without a ratio if a class is empty.

    Args:
        class_counts: ``(K,)`` samples per class.
        faces: all samples, labelled or not.
        names: ``(K,)`` of the classes.
    """
    total = sum(class_counts)
    if total == 0:
        return f"{faces:,} faces without labels"
    ranked = sorted(range(len(class_counts)), key=lambda k: class_counts[k])
    low, high = ranked[0], ranked[-1]
    span = f"({names[high]} {class_counts[high]:,} … {names[low]} {class_counts[low]:,})"
    if class_counts[low] == 0:
        return f"{total:,} faces {span}"
    return f"{total:,} faces, imbalance {class_counts[high] / class_counts[low]:.1f}:1 {span}"


def _counts(samples: Samples, classes: int) -> list[int]:
    labels = samples.labels
    return [int(n) for n in np.bincount(labels[labels >= 0], minlength=classes)]
