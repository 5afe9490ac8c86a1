"""Reads the CSV of ``--groups``: the cells of each image."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from ..util.errors import UserError
from ..util.names import shown

#: Accepted names of the image column, in upper or lower case.
IMAGE_COLUMNS = ("image", "path", "file", "filename", "name")
#: Other columns of predictions.csv, which are not groups.
_PREDICTIONS = ("true", "predicted", "confidence", "disagreement")
#: Words that spreadsheets and pandas write for a missing value.
MISSING = ("n/a", "#n/a", "na", "nan", "null")


@dataclass(frozen=True)
class Table:
    """The cells of each image, repeated rows merged."""

    columns: list[str]
    cells: dict[str, list[str]]  #: by image
    repeated: int
    spellings: list[Counter[str]]  #: of each column: how many rows have a cell as it is written


def read_table(path: Path) -> Table:
    header, rows = _rows(path)
    plain = [name.casefold() for name in header]
    image = next((plain.index(name) for name in IMAGE_COLUMNS if name in plain), None)
    if image is None:
        raise UserError(f"{path}: no column {shown('image')} (found {_listed(header)})")
    if twice := next((name for name, times in Counter(plain).items() if name and times > 1), None):
        raise UserError(f"{path}: the column {shown(twice)} occurs twice: keep one")
    ours = {"predicted", "confidence"} <= set(plain)
    chosen = [
        c for c, name in enumerate(plain)
        if name and c != image and not (ours and (name in _PREDICTIONS or name.startswith("p_")))
    ]  # fmt: skip
    if not chosen:
        raise UserError(f"{path}: no column of groups beside {shown(header[image])} (found {_listed(header)})")
    cells: dict[str, list[str]] = {}
    repeated, spellings = 0, [Counter[str]() for _ in chosen]
    for line, row in rows:
        if len(row) > len(header):
            raise UserError(
                f"{path}:{line}: {len(row)} cells under {len(header)} columns; quote what has a comma in it"
            )
        row += [""] * (len(header) - len(row))
        name, values = row[image].strip(), [row[c].strip() for c in chosen]
        if not name:
            raise UserError(f"{path}:{line}: the row names no image")
        for counter, c in zip(spellings, chosen, strict=True):
            counter[row[c]] += 1
        if name in cells:
            repeated += 1
            values = [_merged(path, line, name, *pair) for pair in zip(cells[name], values, strict=True)]
        cells[name] = values
    if not cells:
        raise UserError(f"{path}: the list is empty")
    return Table([header[c] for c in chosen], cells, repeated, spellings)


def _merged(path: Path, line: int, name: str, old: str, new: str) -> str:
    """A cell merged from two rows of one image."""
    if old and new and group_of(old) != group_of(new):
        raise UserError(f"{path}:{line}: {shown(name)} is in {shown(old)} and in {shown(new)}: give it one group")
    return old or new


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and the non-empty rows with line numbers; the delimiter is the most frequent one in the header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8: save it as CSV UTF-8") from None
    lines = io.StringIO(text).readlines()  # not splitlines(), which also splits at characters within a cell
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.reader(lines, delimiter=delimiter)
        table = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"{path}: not a readable CSV ({error})") from None
    if not table:
        raise UserError(f"{path}: the list is empty")
    return [name.strip() for name in table[0][1]], table[1:]


def _listed(header: Sequence[str]) -> str:
    return ", ".join(shown(name, 30) for name in header[:12]) or "nothing"


def group_of(word: str) -> str:
    """The same for all spellings of a group: they differ in case, number of spaces or encoding; "" for no group."""
    key = normalize("NFKC", " ".join(word.split()).casefold())
    return "" if key in MISSING else key
