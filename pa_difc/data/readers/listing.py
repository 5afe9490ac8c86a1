"""The common parts of readers: samples, listings, and reading of lists."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...util.errors import UserError

#: The share of a dataset without official splits that is held out as its test split.
HELD_OUT = 0.2

#: The note on such a dataset.
OUR_SPLIT = "no split of its own: about a fifth is held out as the test split, by a hash of names or groups"

#: The split of samples that are both unlabelled training data and test data, as the protocol uses small datasets.
BOTH = "both"


class NotHere(UserError):
    """A folder does not hold the expected dataset in any of its layouts."""


@dataclass(frozen=True)
class Sample:
    """One face in a dataset's list; exactly one of ``path``, ``pixels`` and ``content`` is set."""

    name: str  #: unique in the dataset: the path below its folder, or file and row of a list
    label: str | None  #: the dataset's own word for the class; None if unlabelled
    split: str  #: "train", "test", "both", or another one that no recipe uses
    path: Path | None = None
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False)  #: ``(H, W)`` uint8
    box: tuple[float, float, float, float] | None = None  #: left, top, right, bottom of the face, in pixels
    landmarks: NDArray[np.float32] | None = field(default=None, compare=False)  #: ``(5, 2)`` in pixels of the image
    whole: bool = False  #: the image is a face crop already: its box is the whole image
    group: str | None = None  #: a group that stays on one side of the split, such as a person; None for the name
    #: Returns the bytes of an image file that lies within another file; must be picklable.
    content: Callable[[], bytes] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Listing:
    """The samples that a reader found.

    Raises:
        UserError: two samples have the same name, or only some have a label.
    """

    samples: list[Sample]
    left_out: dict[str, int] = field(default_factory=dict)  #: number of files and rows left out, by reason
    notes: tuple[str, ...] = ()  #: remarks on how the dataset was read
    #: Whether pa_difc made the split, by a hash of groups and names; False for the dataset's own.
    by_hash: bool = False
    #: The list's other columns: a value for each sample, by the column's name.
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        repeated = [name for name, times in Counter(s.name for s in self.samples).items() if times > 1]
        if repeated:
            raise UserError(f"{repeated[0]} is listed twice")
        bare = [s.name for s in self.samples if s.label is None]
        if bare and len(bare) < len(self.samples):
            raise UserError(f"{bare[0]} has no label and others have: label all of a dataset or none of it")

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Samples by split and word; without words if there are no labels."""
        return counts_by_split(self.samples)

    @property
    def fingerprint(self) -> str:
        """A hash of the list: names, labels and splits, in order."""
        rows = (f"{s.name}\t{s.label}\t{s.split}" for s in self.samples)
        return hashlib.blake2b("\n".join(rows).encode(errors="surrogateescape"), digest_size=8).hexdigest()


Reader = Callable[[Path], Listing]


def counts_by_split(samples: Iterable[Sample]) -> dict[str, dict[str, int]]:
    """Samples by split and word, words sorted; unlabelled samples count for no word."""
    table: dict[str, Counter[str]] = {}
    for sample in samples:
        counts = table.setdefault(sample.split, Counter())
        if sample.label is not None:
            counts[sample.label] += 1
    return {split: dict(sorted(counts.items())) for split, counts in table.items()}


def shown_split(split: str) -> str:
    """A split's name for people."""
    return "train+test" if split == BOTH else split


def missing_files(samples: Sequence[Sample], most: int = 200) -> tuple[int, list[Path]]:
    """Checks whether some listed files exist, evenly spaced over the list.

    Args:
        samples: of a listing.
        most: number of files to check at most.

    Returns:
        The number of files that were checked, and those that are missing.
    """
    paths = list(dict.fromkeys(s.path for s in samples if s.path is not None))
    chosen = [paths[i * len(paths) // min(len(paths), most)] for i in range(min(len(paths), most))]
    return len(chosen), [path for path in chosen if not path.is_file()]


def held_out(key: str) -> str:
    """The split of a sample of a dataset without official splits, "train" or "test"; depends only on its key."""
    bits = hashlib.sha256(key.encode(errors="surrogateescape")).digest()[:8]
    return "test" if int.from_bytes(bits, "big") < HELD_OUT * 2**64 else "train"


def held_out_groups(samples: Iterable[Sample], **more: Any) -> Listing:
    """A listing split by hash: about a fifth is "test", and groups are kept together.

    Args:
        samples: their splits are replaced.
        **more: further fields of the listing.

    Raises:
        UserError: see :class:`Listing`.
    """
    split = [replace(sample, split=held_out(sample.group or sample.name)) for sample in samples]
    return Listing(split, by_hash=True, **more)


def plain_name(name: str, where: str, folder: str) -> str:
    """A normalised file name from a list; refused if it leads out of its folder.

    Args:
        name: as written in the list.
        where: file and line, for errors.
        folder: the images' folder, for errors.

    Raises:
        UserError: the name is empty, absolute, or contains "..".
    """
    if not name or "\0" in name or "\\" in name or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise UserError(f"{where}: image {name!r} must be a path below {folder}/")
    return PurePath(name).as_posix()  # ./a.jpg and a.jpg are the same file


def read_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields "FILE:NUMBER" and the words of each non-empty line of a list.

    Raises:
        UserError: the file can't be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    for number, line in enumerate(lines, 1):
        if words := line.split():
            yield f"{path}:{number}", words


def csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields "FILE:NUMBER" and each row of a CSV, whose header may hold spaces (as icml_face_data.csv's does).

    Raises:
        UserError: the file is not a readable CSV, lacks one of ``columns``, has one twice, or a row is cut short.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = [name.strip() for name in reader.fieldnames or []]
            times = Counter(name.casefold() for name in header if name)
            if twice := next((name for name in header if times[name.casefold()] > 1), None):
                raise UserError(f"{path}: the column {twice!r} occurs {times[twice.casefold()]} times: keep one")
            missing = [c for c in columns if c not in header]
            if missing:
                raise UserError(
                    f"{path}: no column {missing[0]!r} (found {', '.join(header) or 'nothing'}; "
                    f"needs {', '.join(columns)})"
                )
            reader.fieldnames = header
            for row in reader:
                if any(row[c] is None for c in columns):
                    raise UserError(f"{path}:{reader.line_num}: the row is cut short")
                yield f"{path}:{reader.line_num}", row
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV ({error})") from None
