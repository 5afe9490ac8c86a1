"""Reading FERPlus (Barsoum et al. 2016, arXiv:1608.01041): ten people's votes on each image of FER2013."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ...util.errors import UserError
from .fer2013 import VOTES, pixel_list, pixel_sample
from .listing import Listing, csv_rows
from .places import find_inner, opened

#: Columns of the votes, and what each votes for; the last two for nothing that can be learnt.
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


def read_fer_plus(root: Path) -> Listing:
    """FERPlus: the votes of ``fer2013new.csv`` on the rows of ``fer2013.csv`` beside it, with FER2013's split.

    The label is what more than half of the votes say, once single votes are taken off, as in the authors' program.
    Images without such a majority, and those voted unknown or no face, are left out and counted. Contempt, which
    FER2013 does not have, is kept as a word.
    """
    looked_for = f"no FERPlus here (looked for {VOTES} beside fer2013.csv)"
    base = find_inner(root, lambda folder: (folder / VOTES).is_file() and pixel_list(folder) is not None, looked_for)
    path = pixel_list(base)
    assert path is not None
    votes = [(where, _majority(where, row)) for where, row in csv_rows(base / VOTES, tuple(COLUMNS))]
    rows = list(csv_rows(path, ("emotion", "pixels", "Usage")))
    if len(votes) != len(rows):
        raise UserError(f"{base / VOTES}: {len(votes):,} rows of votes, and {path.name} has {len(rows):,} images")
    left_out: Counter[str] = Counter()
    samples = []
    for (where, row), (_, word) in zip(rows, votes, strict=True):
        if word in (NO_MAJORITY, UNKNOWN, NO_FACE):
            left_out[word] += 1
        else:
            samples.append(pixel_sample(path, where, row, word))
    return Listing(samples, dict(left_out), opened(root, base))


def _majority(where: str, row: dict[str, str]) -> str:
    """The word that wins, or why there is none."""
    try:
        votes = {column: int(row[column] or 0) for column in COLUMNS}
    except (TypeError, ValueError):
        raise UserError(f"{where}: votes must be whole numbers") from None
    several = {column: n for column, n in votes.items() if n > 1}
    first = max(several, key=lambda column: several[column], default="")
    if not first or 2 * several[first] <= sum(several.values()):
        return NO_MAJORITY
    return {"unknown": UNKNOWN, "NF": NO_FACE}.get(first, COLUMNS[first])
