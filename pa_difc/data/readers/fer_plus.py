"""Reads FERPlus (Barsoum et al. 2016, arXiv:1608.01041): ten people's votes on each image of FER2013."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ...util.errors import UserError
from ..files import merged
from .fer2013 import VOTES, pixel_list, pixel_sample
from .folders import settled
from .listing import Listing, Sample, csv_rows, plain_name
from .places import find_inner, folders_in, opened, unlisted

#: Columns of votes, and the word that each votes for; the last two are not classes.
COLUMNS = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "unknown",
    "NF": "NF",
}
NO_MAJORITY, UNKNOWN, NO_FACE = "images without a majority of votes", "images voted unknown", "images voted no face"
_NO_LABEL = (NO_MAJORITY, UNKNOWN, NO_FACE)


#: Folders made by the authors' program, in lower case, each with a list of votes; and their splits.
_FOLDERS = {"fer2013train": "train", "fer2013valid": "val", "fer2013test": "test"}
_LIST = "label.csv"


def read_fer_plus(root: Path) -> Listing:
    """Reads FERPlus: the votes of ``fer2013new.csv`` on the rows of ``fer2013.csv`` beside it, with FER2013's split.

    It also reads the folders that the authors' program makes of these two: ``FER2013Train/``, ``FER2013Valid/`` (val)
    and ``FER2013Test/``, each with images and ``label.csv``. The whole image is the face, as in that program.

    The label is the word with more than half of the votes after dropping words with a single vote, as in the authors'
    program. Images without such a majority, and those voted unknown or no face, are left out and counted. Contempt,
    which FER2013 does not have, is kept as a word.
    """
    base = find_inner(
        root,
        lambda folder: _has_votes(folder) or bool(_made(folder)),
        f"no FERPlus here (looked for {VOTES} beside fer2013.csv, and FER2013Train/{_LIST})",
    )
    return _of_rows(root, base) if _has_votes(base) else _of_folders(root, base)


def _has_votes(folder: Path) -> bool:
    return (folder / VOTES).is_file() and pixel_list(folder) is not None


def _made(folder: Path) -> dict[Path, str]:
    """The folders made by the authors' program, with their splits."""
    splits = {inner: _FOLDERS.get(inner.name.lower(), "") for inner in folders_in(folder)}
    return {inner: split for inner, split in splits.items() if split and (inner / _LIST).is_file()}


def _of_folders(root: Path, base: Path) -> Listing:
    left_out: Counter[str] = Counter()
    beside = []
    samples: list[Sample] = []
    for folder, split in _made(base).items():
        listed = [
            Sample(f"{folder.name}/{name}", word, split, folder / name, whole=True) for name, word in _voted(folder)
        ]
        left_out.update(sample.label for sample in listed if sample.label in _NO_LABEL)
        beside.append(unlisted(folder, listed, folder / _LIST))
        samples += [sample for sample in listed if sample.label not in _NO_LABEL]
    if not samples:
        raise UserError(f"{base}: no image in {_LIST} has a majority of votes for an expression")
    return Listing(settled(samples), merged([left_out, *beside]), opened(root, base))


def _voted(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields each image's name and winning word; some versions of the list have a box between name and votes."""
    path = folder / _LIST
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                where = f"{path}:{number}"
                if not any(row):
                    continue
                if len(row) not in (len(COLUMNS) + 1, len(COLUMNS) + 2):
                    raise UserError(f"{where}: {len(row)} columns, must be a name, perhaps a box, and ten votes")
                votes = dict(zip(COLUMNS, row[-len(COLUMNS) :], strict=True))
                yield plain_name(row[0].strip(), where, folder.name), _majority(where, votes)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV ({error})") from None


def _of_rows(root: Path, base: Path) -> Listing:
    path = pixel_list(base)
    assert path is not None
    votes = [(where, _majority(where, row)) for where, row in csv_rows(base / VOTES, tuple(COLUMNS))]
    rows = list(csv_rows(path, ("emotion", "pixels", "Usage")))
    if len(votes) != len(rows):
        raise UserError(f"{base / VOTES}: {len(votes):,} rows of votes, and {path.name} has {len(rows):,} images")
    left_out: Counter[str] = Counter()
    samples = []
    for (where, row), (_, word) in zip(rows, votes, strict=True):
        if word in _NO_LABEL:
            left_out[word] += 1
        else:
            samples.append(pixel_sample(path, where, row, word))
    return Listing(samples, dict(left_out), opened(root, base))


def _majority(where: str, row: dict[str, str]) -> str:
    """The word with the majority of votes, or the reason why there is none."""
    try:
        votes = {column: int(row[column] or 0) for column in COLUMNS}
    except (TypeError, ValueError):
        raise UserError(f"{where}: votes must be whole numbers") from None
    several = {column: n for column, n in votes.items() if n > 1}
    first = max(several, key=lambda column: several[column], default="")
    if not first or 2 * several[first] <= sum(several.values()):
        return NO_MAJORITY
    return {"unknown": UNKNOWN, "NF": NO_FACE}.get(first, COLUMNS[first])
