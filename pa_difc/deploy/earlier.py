"""What an earlier command wrote to the place of a table, and whether a new table may replace it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..util.errors import UserError
from ..util.files import refuse_foreign
from ..util.names import escaped
from .prediction import NO_FACE, columns, frame_columns

_FIRST_KEYS = (["file", "label", "problem"], ["frame", "time_s", "track"])  #: of rows in JSON
_INSTEAD = "give another --out, or remove it"


def require_replaceable(out: Path, names: Sequence[str] | None) -> None:
    """Refuses to replace a file that predict did not write, or a table with predictions that the new one won't have.

    Args:
        out: the file of the new table.
        names: of its images; None for the table of a video, which replaces no predictions at all, because tables of
            videos do not name them.

    Raises:
        UserError: there is such a file, or a link in its place.
    """
    refuse_foreign(out, ours=is_table, writer="predict", instead="another --out")
    images, frames = _held(out) if out.exists() else (set(), set())
    if frames or (images and names is None):
        held = _number(len(frames), "frame") + " of a video" if frames else _number(len(images), "image")
        raise UserError(f"{out} has predictions for {held}, and would be overwritten: {_INSTEAD}")
    if lost := _lost(images, names or []):
        which = "which is" if len(images) == 1 else f"{lost} of which {'is' if lost == 1 else 'are'}"
        raise UserError(f"{out} has predictions for {_number(len(images), 'image')}, {which} not given now: {_INSTEAD}")


def is_table(file: Path) -> bool:
    """Whether a path does not exist, is an empty file, or is a table of predictions."""
    if not file.is_file():
        return not file.exists()
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        head = stream.readline()
        if head.startswith("["):
            try:
                rows = json.loads(head + stream.read())
            except (ValueError, RecursionError):
                return False
            return all(isinstance(row, dict) and list(row)[:3] in _FIRST_KEYS for row in rows)
    names = head.rstrip("\n").split(",")
    tables = ((columns([]), 2), (frame_columns([]), 4))  # and the number of columns before the classes
    return not head.strip() or any(names[:n] == own[:n] and names[n - len(own) :] == own[n:] for own, n in tables)


def _held(file: Path) -> tuple[set[str], set[str]]:
    """The images that a table has predictions for, and the frames; an image that could not be read has none."""
    images, frames = set(), set()
    for row in _rows(file):
        if next(iter(row)) == "frame":
            frames.add(str(row["frame"]))
        elif row.get("problem") in ("", NO_FACE):
            images.add(str(row["file"]))
    return images, frames


def _rows(file: Path) -> Iterator[dict[str, object]]:
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        if stream.read(1) == "[":
            stream.seek(0)
            yield from json.load(stream)
            return
        stream.seek(0)
        with suppress(csv.Error):
            yield from csv.DictReader(stream)


def _lost(held: set[str], names: Sequence[str]) -> int:
    """How many of these images are not given, under their name in the table or another path."""
    others = held - set(map(escaped, names))
    return len({os.path.realpath(name) for name in others} - set(map(os.path.realpath, names))) if others else 0


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
