"""From a dataset's own words to classes: the one place where samples are left out by what they show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..util.errors import UserError
from ..util.names import shown
from .labels import UNLABELLED, LabelSet, from_words, plain
from .readers.listing import BOTH

#: What to do about class folders with numbers for names.
NUMBERS = "numbers mean different classes in every dataset: name yours (raf_db, affectnet, …)"

_LEFT_OUT = -2


@dataclass(frozen=True)
class Labelling:
    """What a label set makes of the words of one dataset.

    Attributes:
        label_set: the classes.
        classes: the class of each word; None for a word that is left out.
        excluded: how many samples are left out, by word.
    """

    label_set: LabelSet
    classes: dict[str, int | None]
    excluded: dict[str, int]

    def label(self, word: str | None) -> int | None:
        """The class of a sample's word, :data:`UNLABELLED` if it has none; None if the sample is left out."""
        return UNLABELLED if word is None else self.classes[word]

    def apply(
        self, words: Sequence[str], indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """The labels of samples whose words are given by index.

        Args:
            words: the dataset's words.
            indices: ``(N,)`` into them, or :data:`UNLABELLED`.

        Returns:
            The labels of those that stay, and which ones these are; None if all stay.
        """
        classes = [self.classes.get(word) for word in words]  # None too for a word that no sample has
        # The last entry is where the index -1 of an unlabelled sample leads.
        table = np.array([*(_LEFT_OUT if k is None else k for k in classes), UNLABELLED], dtype=np.int64)
        labels = table[indices]
        kept = np.flatnonzero(labels != _LEFT_OUT)
        return (labels, None) if len(kept) == len(labels) else (labels[kept], kept)


def label_words(dataset: str, counts: Mapping[str, int], label_set: LabelSet | None) -> Labelling:
    """What a label set makes of a dataset's words.

    Args:
        dataset: its name, for errors.
        counts: samples by word; empty where there are no labels.
        label_set: the classes; None for the words themselves, sorted.

    Raises:
        UserError: a word is neither a class nor left out; or there are no words to make classes of.
    """
    if label_set is None:
        if not counts:
            raise UserError(f"dataset {dataset} has no labels to make classes of: name a label set")
        try:
            label_set = from_words(counts)
        except UserError as error:
            raise UserError(f"dataset {dataset}: {error}") from None
    classes = {word: _class_of(dataset, word, counts[word], label_set) for word in counts}
    excluded = {word: counts[word] for word, k in classes.items() if k is None}
    return Labelling(label_set, classes, excluded)


def alone_line(names: Sequence[str], split: str) -> str:
    """A warning of classes that one split alone has; see :func:`one_sided`."""
    what = "can't be learnt here" if split == "test" else "is not scored"
    return f"warning: in the {split} split alone: {', '.join(names)} ({what})"


def empty_line(split: str, sizes: Mapping[str, int]) -> str:
    """What is wrong with a set that has nothing to train or nothing to score on; training stops at it.

    Args:
        split: "train" or "test".
        sizes: the samples of each split that have a class.
    """
    there = ", ".join(f"{n:,} in {other}" for other, n in sizes.items() if n) or "none in any"
    return f"its {split} split is empty, of its images {there}"


def empty_lines(counts: Mapping[str, Mapping[str, int]], label_set: LabelSet | None) -> list[str]:
    """Warnings of splits without which nothing can be trained; none where there are no labels.

    Args:
        counts: samples by split and word.
        label_set: the classes; None for the words themselves. A word that it does not know counts.
    """
    sizes = {split: sum(n for word, n in row.items() if _names([word], label_set)) for split, row in counts.items()}
    if BOTH in sizes or not any(counts.values()):
        return []
    empty = [split for split in ("train", "test") if not sizes.get(split)]
    return [f"warning: {empty_line(split, sizes)}: training stops at that" for split in empty]


def one_sided(counts: Mapping[str, Mapping[str, int]], label_set: LabelSet | None) -> dict[str, list[str]]:
    """The classes that are in the training or the test split alone, by this split.

    Args:
        counts: samples by split and word.
        label_set: the classes; None for the words themselves. A word that it does not know is a class of its own.
    """
    if not {"train", "test"} <= set(counts):
        return {}
    classes = {split: _names(counts[split], label_set) for split in ("train", "test")}
    alone = {"train": classes["train"] - classes["test"], "test": classes["test"] - classes["train"]}
    return {split: sorted(names) for split, names in alone.items() if names and all(classes.values())}


def _names(words: Iterable[str], label_set: LabelSet | None) -> set[str]:
    names = set()
    for word in words:
        try:
            k = label_set.index(word) if label_set else None
            if label_set is None or k is not None:
                names.add(plain(word) if label_set is None or k is None else label_set.names[k])
        except UserError:
            names.add(plain(word))
    return names


def _class_of(dataset: str, word: str, samples: int, label_set: LabelSet) -> int | None:
    try:
        return label_set.index(word)
    except UserError:
        number = f"{NUMBERS}; or a " if word.strip().isdigit() else "a "
        raise UserError(
            f"dataset {dataset}: {shown(word)} ({samples:,} samples) is no class of {', '.join(label_set.names)}: "
            f"{number}label file (--labels FILE.toml) can make it a synonym or exclude it"
        ) from None
