"""The order in which a folder's runs were asked for, and the titles of their grids, kept next to the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.files import read_json, write_json
from .run import Run

#: The file, in the folder that ``runs`` is in.
FILE = "asked.json"


@dataclass(frozen=True)
class Asked:
    """What is known of a folder's runs by their keys."""

    runs: Sequence[str] = ()  #: in the order of the commands that asked for them; new ones last
    titles: Mapping[str, Sequence[str]] = field(default_factory=dict)  #: the keys of each title's runs


def keep_asked(out: Path, runs: Iterable[str], titles: Mapping[str, Sequence[str]]) -> None:
    """Adds a command's runs to what a folder's file says.

    Args:
        out: the folder above ``runs``.
        runs: the keys of the command's runs, in its order.
        titles: the keys of each of its grids that has a title.

    Raises:
        UserError: the file can't be written.
    """
    before = read_asked(out)
    both = {title: [*before.titles.get(title, ()), *titles.get(title, ())] for title in (*before.titles, *titles)}
    own = list(runs)
    first = own if set(before.runs) <= set(own) else before.runs  # the same command, of which cells had failed
    value = {"runs": list(dict.fromkeys([*first, *own]))}
    write_json(out / FILE, value | {"titles": {title: list(dict.fromkeys(keys)) for title, keys in both.items()}})


def read_asked(out: Path) -> Asked:
    """What a folder's file says; nothing if there is none that can be read, since tables do without."""
    try:
        found: dict[str, Any] = read_json(out / FILE)
        return Asked([str(key) for key in found["runs"]], {str(k): list(v) for k, v in found["titles"].items()})
    except (UserError, OSError, LookupError, TypeError, AttributeError, ValueError):
        return Asked()


def by_asked(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Runs in the order in which they were first asked for, those that no file lists last.

    Returns:
        The runs, and for each the titles of the grids that it is of.
    """
    known = {out: read_asked(out) for out in dict.fromkeys(map(_out, runs))}
    places = {out: {key: i for i, key in enumerate(asked.runs)} for out, asked in known.items()}
    outs = list(known)

    def place(run: Run) -> tuple[int, float]:
        out = _out(run)
        return outs.index(out), places[out].get(run.record["key"], float("inf"))

    of_title = {out: {t: frozenset(keys) for t, keys in asked.titles.items()} for out, asked in known.items()}
    ordered = sorted(runs, key=place)
    return ordered, [[t for t, keys in of_title[_out(run)].items() if run.record["key"] in keys] for run in ordered]


def _out(run: Run) -> Path:
    return run.path.parent.parent
