"""Reads ``--groups``: the group of each face, from a user's CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from ..util.errors import UserError
from ..util.names import as_utf8, shown
from .face_names import Names
from .run import Array

#: Accepted names of the image column, in upper or lower case.
IMAGE_COLUMNS = ("image", "path", "file", "filename", "name")
#: Other columns of predictions.csv, which are not groups.
_PREDICTIONS = ("true", "predicted", "confidence", "disagreement")

NO_GROUP = -1
_SPELLINGS = 4  #: most spellings of a group that are named


@dataclass(frozen=True)
class Column:
    """A column of the file: the group of each face."""

    name: str
    groups: Sequence[str]
    of_face: Array  #: ``(N,)`` index into ``groups``, :data:`NO_GROUP` for a face without one


@dataclass(frozen=True)
class Groups:
    """The groups of a set of faces, a column for each grouping."""

    columns: Sequence[Column]
    notes: Sequence[str]  #: on parts of the file that did not fit, in sentences


@dataclass(frozen=True)
class _Table:
    """The cells of each image, repeated rows merged."""

    columns: list[str]
    cells: dict[str, list[str]]  #: by image
    repeated: int
    spellings: list[Counter[str]]  #: of each column: how many rows have a cell as it is written


def read_groups(path: Path, names: Sequence[str], elsewhere: Iterable[str] = ()) -> Groups:
    """Reads the groups of faces.

    An image is identified by its name in the dataset, as in predictions.csv, by a longer path that ends in that name,
    or by an end of the name that no other image of the dataset shares. Case is ignored unless two names differ only in
    case.

    Args:
        path: a CSV with commas, semicolons or tabs, a column of images and one or more columns of groups.
        names: of the N faces.
        elsewhere: names of other faces of the same dataset, which the file may list too.

    Raises:
        UserError: the file can't be read, lacks these columns, gives an image two groups, or names none of the images.
    """
    table = _read(path)
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}  # a shifted target has faces twice
    known = Names(dict.fromkeys((*place, *elsewhere)))
    found: dict[int, str] = {}
    missing, beside = [], 0
    for image in table.cells:
        if (i := known.find(image)) is None:
            missing.append(image)
        elif i >= len(place):
            beside += 1
        elif i in found:
            raise UserError(f"{path}: {shown(found[i])} and {shown(image)} are one image: give it one row")
        else:
            found[i] = image
    if not found:
        hint = f"its names are such as {shown(as_utf8(names[0]))}" if names else "there is none"
        first = shown(next(iter(table.cells)))
        raise UserError(f"{path}: none of its {len(table.cells):,} images, such as {first}, is a test face; {hint}")
    notes, file = [], as_utf8(path.name)
    if beside:
        notes.append(f"Training faces, which are not scored here: {_images(beside)} of {file}.")
    if missing:
        notes.append(f"Not in the dataset: {_images(len(missing))} of {file}, such as {shown(missing[0])}.")
    if table.repeated:
        notes.append(f"Rows of {file} that repeat others and count once: {table.repeated:,}.")
    of_face = np.array([place[name] for name in names])
    columns = []
    for c, name in enumerate(table.columns):
        words = {i: table.cells[image][c] for i, image in found.items()}
        column = _column(name, words, of_face, table.spellings[c])
        notes += _merged_notes(column, table.spellings[c])
        if without := int((column.of_face == NO_GROUP).sum()):
            notes.append(f"Without {name}: {without:,} of {len(names):,} faces.")
        columns.append(column)
    if all((column.of_face == NO_GROUP).all() for column in columns):
        raise UserError(f"{path}: no test face has a group: {', '.join(table.columns)} are empty")
    return Groups(columns, notes)


def _read(path: Path) -> _Table:
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
    return _Table([header[c] for c in chosen], cells, repeated, spellings)


def _merged(path: Path, line: int, name: str, old: str, new: str) -> str:
    """A cell merged from two rows of one image."""
    if old and new and _key(old) != _key(new):
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


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"


def _listed(header: Sequence[str]) -> str:
    return ", ".join(shown(name, 30) for name in header[:12]) or "nothing"


def _column(name: str, words: Mapping[int, str], of_face: Array, spellings: Counter[str]) -> Column:
    """A column whose groups are its distinct words, each called as most rows of the file spell it.

    Args:
        name: of the column.
        words: by the image's index.
        of_face: ``(N,)`` index of each face's image.
        spellings: how many rows have a cell as it is written.
    """
    written: dict[str, Counter[str]] = defaultdict(Counter)
    for spelling, rows in spellings.items():
        written[_key(spelling)][spelling.strip()] += rows
    keys = sorted({_key(word) for word in words.values()} - {""}, key=_order)
    index = {key: i for i, key in enumerate(keys)}
    found = {i: index.get(_key(word), NO_GROUP) for i, word in words.items()}
    groups = [written[key].most_common(1)[0][0] for key in keys]
    return Column(name, groups, np.array([found.get(i, NO_GROUP) for i in of_face.tolist()]))


def _merged_notes(column: Column, spellings: Counter[str]) -> Iterator[str]:
    """A sentence for each group of a column that is spelt in several ways."""
    for group in column.groups:
        same = [(word, rows) for word, rows in spellings.most_common() if _key(word) == _key(group)]
        if len(same) > 1:
            said = [f"{shown(word)} ({rows:,} row{'s' * (rows != 1)})" for word, rows in same[:_SPELLINGS]]
            more = f" and {len(same) - _SPELLINGS:,} others" if len(same) > _SPELLINGS else ""
            yield f"{column.name}: one group, {group}, is written in {len(same)} ways: {', '.join(said)}{more}."


def _key(word: str) -> str:
    """The same for all spellings of a group: they differ in case, spaces, or how accents are encoded."""
    return normalize("NFC", " ".join(word.split()).casefold())


def _order(word: str) -> tuple[float, str]:
    """Sort key: numbers by value, before words."""
    try:
        return (float(word), word)
    except ValueError:
        return (float("inf"), word)
