"""Maps a dataset's own labels ("words") to classes: the one place where samples are left out by label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from ..util.errors import UserError
from ..util.names import shown
from .labels import UNLABELLED, WORDS, LabelSet, from_words, plain
from .readers.listing import BOTH

#: Advice on class folders that are numbered.
NUMBERS = "numbers mean different classes in every dataset: name yours (raf_db, affectnet, …)"

_LEFT_OUT = -2


@dataclass(frozen=True)
class Labelling:
    """The mapping from one dataset's words to classes.

    Attributes:
        label_set: the classes.
        classes: the class of each word; None for a word that is left out.
        excluded: number of samples left out, by word.
    """

    label_set: LabelSet
    classes: dict[str, int | None]
    excluded: dict[str, int]

    def label(self, word: str | None) -> int | None:
        """The class of a sample's word, or :data:`UNLABELLED` without a word; None if the sample is left out."""
        return UNLABELLED if word is None else self.classes[word]

    def apply(
        self, words: Sequence[str], indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Converts indices of words to classes.

        Args:
            words: the dataset's words.
            indices: ``(N,)`` indices into them, or :data:`UNLABELLED`.

        Returns:
            The classes of the samples that stay, and their positions; None for the positions if all stay.
        """
        classes = [self.classes.get(word) for word in words]  # None too for a word that no sample has
        # The last entry is for unlabelled samples, whose index is -1.
        table = np.array([*(_LEFT_OUT if k is None else k for k in classes), UNLABELLED], dtype=np.int64)
        labels = table[indices]
        kept = np.flatnonzero(labels != _LEFT_OUT)
        return (labels, None) if len(kept) == len(labels) else (labels[kept], kept)


def label_words(dataset: str, counts: Mapping[str, int], label_set: LabelSet | None) -> Labelling:
    """Maps a dataset's words to the classes of a label set.

    Args:
        dataset: its name, for errors.
        counts: samples by word; empty without labels.
        label_set: the classes; None makes the sorted words the classes.

    Raises:
        UserError: a word is neither a class nor left out, or there are no words to make classes of.
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
    """A warning of classes that only one split has; see :func:`one_sided`."""
    what = "can't be learnt here" if split == "test" else "is not scored"
    return f"warning: in the {split} split alone: {', '.join(names)} ({what})"


def empty_line(split: str, sizes: Mapping[str, int]) -> str:
    """An error for a dataset with an empty split, on which nothing can be trained or scored.

    Args:
        split: "train" or "test".
        sizes: number of samples with a class in each split.
    """
    there = ", ".join(f"{n:,} in {other}" for other, n in sizes.items() if n) or "none in any split"
    return f"its {split} split is empty (images: {there})"


def empty_lines(counts: Mapping[str, Mapping[str, int]], label_set: LabelSet | None) -> list[str]:
    """Warnings of empty splits, with which nothing can be trained; none for a dataset without labels.

    Args:
        counts: samples by split and word.
        label_set: the classes; None for the words themselves. Unknown words count as classes.
    """
    sizes = {split: sum(n for word, n in row.items() if _names([word], label_set)) for split, row in counts.items()}
    if BOTH in sizes or not any(counts.values()):
        return []
    empty = [split for split in ("train", "test") if not sizes.get(split)]
    return [f"warning: {empty_line(split, sizes)}: training stops at that" for split in empty]


def one_sided(counts: Mapping[str, Mapping[str, int]], label_set: LabelSet | None) -> dict[str, list[str]]:
    """The classes that only the training split or only the test split has, by split.

    Args:
        counts: samples by split and word.
        label_set: the classes; None for the words themselves. Each unknown word counts as a class.
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
        near = near_class(word, label_set)
        meant = f"did you mean {near!r}? (rename it); or " if near else ""
        raise UserError(
            f"dataset {dataset}: {shown(word)} ({samples:,} samples) is no class of {', '.join(label_set.names)}: "
            f"{meant}{number}label file (--labels FILE.toml) can make it a synonym or exclude it"
        ) from None


def near_class(word: str, label_set: LabelSet) -> str | None:
    """The word for a class that a misspelled one probably stands for, if any; first letters are rarely misspelled."""
    own = (*label_set.names, *label_set.synonyms, *label_set.excluded)
    meanings = set(map(plain, own))
    known = {w.casefold(): w for w in (*(w for w in WORDS if plain(w) in meanings), *own)}
    word = word.strip().casefold()
    near = get_close_matches(word, [spelling for spelling in known if spelling[:1] == word[:1]], n=1, cutoff=0.7)
    return known[near[0]] if near else None
