"""Handles images that lie in one folder (a pool), with links that sort them into classes and splits."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ...util.errors import UserError
from ..files import Found, merged
from ..walk import Link
from .tree import Placed, Row, is_class

#: Links whose class or split differs from that of the folder in which the file lies.
ELSEWHERE = "links to a file of another class or split"


def all_paths(found: Found) -> list[Path]:
    """Every path below the folder, including several paths of one file."""
    return sorted([*found.paths, *(link.path for link in found.links)])


def one_each(root: Path, found: Found, placed: Placed) -> tuple[list[Row], dict[str, int]]:
    """One row for each file, and the counts of what was left out, by reason.

    A file has the class and split of the folder in which it lies. If that is a pool, or outside the dataset, it has
    those of the links that lead to it.

    Args:
        root: the dataset's folder.
        found: the images found there.
        placed: all paths, from :func:`all_paths`, by class and split.

    Raises:
        UserError: links put one file into two classes or splits.
    """
    links = {link.path: link for link in found.links}
    rows = _without_pool(placed, links)
    of_file: dict[Path, list[Row]] = {}
    for row in rows:
        of_file.setdefault(links[row[2]].listed if row[2] in links else row[2], []).append(row)
    chosen = {file: _choose(root, file, several) for file, several in of_file.items()}
    taken = {row[2] for row in chosen.values()}
    astray = [r[2] for file, several in of_file.items() for r in several if r[:2] != chosen[file][:2] and r[2] in links]
    why = Counter(placed.why[file] for file in found.paths if file not in chosen)
    used = [links[path] for path in (*taken, *astray) if path in links]
    left_out = merged([found.left_out_without(used), why, {ELSEWHERE: len(astray)} if astray else {}])
    return [row for row in rows if row[2] in taken], left_out


def _choose(root: Path, file: Path, rows: list[Row]) -> Row:
    """The row to use among those of one file."""
    named = [row for row in rows if is_class(row[1])]
    rows = named or rows  # a folder that is not named after an expression may be a pool
    own = next((row for row in rows if row[2] == file), None)
    if own is not None and os.path.realpath(file).startswith(os.path.join(os.path.realpath(root), "")):
        return own
    if len({row[:2] for row in rows}) > 1:
        first, other, *_ = (row[2].relative_to(root).as_posix() for row in {row[:2]: row for row in rows}.values())
        raise UserError(f"{root}: {first} and {other} are one file by links, which has one class and one split")
    return own or rows[0]


def _without_pool(placed: Placed, links: dict[Path, Link]) -> list[Row]:
    """The rows without those of a pool: a folder that is not a class, but holds the files that others link to."""
    words = {path: word for _, word, path in placed.rows}
    holders = {word for path, word in words.items() if path not in links}
    if len(holders) != 1 or is_class(pool := next(iter(holders))):
        return placed.rows
    into = {word for path, word in words.items() if path in links and words.get(links[path].listed) == pool} - {pool}
    if len(into) < 2 and not any(map(is_class, into)):
        return placed.rows
    placed.leave((path for path, word in words.items() if word == pool), f"in {pool}/ (in no class folder)")
    return [row for row in placed.rows if row[1] != pool]
