"""Reads ``--groups``: the group of each face, from a user's CSV."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..util.errors import UserError
from ..util.names import as_utf8, shown
from .face_names import Names
from .group_file import Table, group_of, read_table
from .run import Array

NO_GROUP = -1
#: What rows of the file name beside faces that were scored.
_TRAINING = "Training faces, which are not scored here"
_UNSCORED = "Test faces that the time budget left out"
_SHARED = "Names that several images share; write more of their paths"
_UNKNOWN = "Not in the dataset"
_OTHERS = (_TRAINING, _UNSCORED, _SHARED, _UNKNOWN)
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


def read_groups(
    path: Path, names: Sequence[str], elsewhere: Iterable[str] = (), unscored: Iterable[str] = ()
) -> Groups:
    """Reads the groups of faces.

    An image is identified by its name in the dataset, as in predictions.csv, by a longer path that ends in that name,
    or by an end of the name that no other image of the dataset shares. Case is ignored unless two names differ only in
    case.

    Args:
        path: a CSV with commas, semicolons or tabs, a column of images and one or more columns of groups.
        names: of the N faces.
        elsewhere: names of training faces of the same dataset, which the file may list too.
        unscored: names of its test faces that were not predicted.

    Raises:
        UserError: the file can't be read, lacks these columns, gives an image two groups, or names none of the images.
    """
    table = read_table(path)
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}  # a shifted target has faces twice
    found, notes = _find(path, table, list(place), elsewhere, unscored)
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
        named = f"column {table.columns[0]} has" if len(columns) == 1 else f"columns {', '.join(table.columns)} have"
        raise UserError(f"{path}: no test face has a group: {named} no value for them, or one that means none, as N/A")
    return Groups(columns, notes)


def _find(
    path: Path, table: Table, names: Sequence[str], elsewhere: Iterable[str], unscored: Iterable[str]
) -> tuple[dict[int, str], list[str]]:
    """The image of each face that the file names, and sentences on its other rows.

    Raises:
        UserError: it names a face twice, or none.
    """
    places = list(dict.fromkeys((*names, *unscored, *elsewhere)))
    known, left_out = Names(places), set(unscored) - set(names)
    found: dict[int, str] = {}
    others: dict[str, list[str]] = defaultdict(list)
    for image in table.cells:
        if (i := known.find(image)) is None:
            others[_SHARED if known.is_ambiguous(image) else _UNKNOWN].append(image)
        elif i >= len(names):
            others[_UNSCORED if places[i] in left_out else _TRAINING].append(image)
        elif i in found:
            raise UserError(f"{path}: {shown(found[i])} and {shown(image)} are one image: give it one row")
        else:
            found[i] = image
    file = as_utf8(path.name)
    notes = [f"{kind}: {_images(others[kind], file)}." for kind in _OTHERS if kind in others]
    if not found:
        hint = f"its names are such as {shown(as_utf8(names[0]))}" if names else "there is none"
        first, number = shown(next(iter(table.cells))), f"{len(table.cells):,}"
        more = " ".join(["", *notes]) if set(others) - {_UNKNOWN} else ""
        raise UserError(f"{path}: none of its {number} images, such as {first}, is a scored test face; {hint}.{more}")
    if table.repeated:
        notes.append(f"Rows of {file} that repeat others and count once: {table.repeated:,}.")
    return found, notes


def _images(images: Sequence[str], file: str) -> str:
    return f"{len(images):,} image{'s' * (len(images) != 1)} of {file}, such as {shown(images[0])}"


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
        written[group_of(spelling)][spelling.strip()] += rows
    keys = sorted({group_of(word) for word in words.values()} - {""}, key=_order)
    index = {key: i for i, key in enumerate(keys)}
    found = {i: index.get(group_of(word), NO_GROUP) for i, word in words.items()}
    groups = [written[key].most_common(1)[0][0] for key in keys]
    return Column(name, groups, np.array([found.get(i, NO_GROUP) for i in of_face.tolist()]))


def _merged_notes(column: Column, spellings: Counter[str]) -> Iterator[str]:
    """A sentence for each group of a column that is spelt in several ways, and on words for a missing value."""
    if codes := [shown(word) for word in spellings if word.strip() and not group_of(word)]:
        yield f"{column.name}: {', '.join(codes[:_SPELLINGS])} {'counts' if len(codes) == 1 else 'count'} as no group."
    for group in column.groups:
        same = [(word, rows) for word, rows in spellings.most_common() if group_of(word) == group_of(group)]
        if len(same) > 1:
            said = [f"{shown(word)} ({rows:,} row{'s' * (rows != 1)})" for word, rows in same[:_SPELLINGS]]
            more = f" and {len(same) - _SPELLINGS:,} others" if len(same) > _SPELLINGS else ""
            yield f"{column.name}: one group, {group}, is written in {len(same)} ways: {', '.join(said)}{more}."


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _order(word: str) -> tuple[float, str]:
    """Sort key: numbers by value, before words."""
    return (float(word) if is_number(word) else float("inf"), word)
