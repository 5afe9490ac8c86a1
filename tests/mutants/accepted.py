"""What the tests may overlook, with a reason each, and the report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .mutations import Mutant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ACCEPTED = Path(__file__).with_name("accepted.toml")

#: The reason for a mutant, by file and by what a line was and becomes.
Reasons = Mapping[tuple[str, str, str], str]


def read(path: Path = ACCEPTED) -> dict[tuple[str, str, str], str]:
    """The accepted mutants: for each file entries of ``was``, one or more ``becomes``, and a ``reason``."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        (file, entry["was"].strip("\n"), becomes.strip("\n")): entry["reason"]
        for file, entries in table.items()
        for entry in entries
        for becomes in entry["becomes"]
    }


def report(tried: Mapping[str, Sequence[Mutant]], noticed: Mapping[str, bool], reasons: Reasons) -> str:
    """Each survivor as a difference, then a table of the files.

    Args:
        tried: the mutants of each file.
        noticed: by a mutant's key.
        reasons: for the accepted ones.
    """
    everything = [m for found in tried.values() for m in found]
    shown = [_difference(m, reasons.get(_place(m))) for m in everything if not noticed[m.key]]
    rows = []
    for name, found in [*tried.items(), ("all", everything)]:
        left = [m for m in found if not noticed[m.key]]
        bare = sum(_place(m) not in reasons for m in left)
        rows.append(f"| {name} | {len(found)} | {len(found) - len(left)} | {_share(found, noticed):.1%} | {bare} |")
    head = "| file | mutants | noticed | share | survived without a reason |\n|---|--:|--:|--:|--:|"
    return "\n".join(["\n\n".join(shown), "", head, *rows, ""])


def complaints(
    tried: Mapping[str, Sequence[Mutant]], noticed: Mapping[str, bool], reasons: Reasons, least: float | None
) -> list[str]:
    """What keeps a group of files from being done.

    Args:
        tried, noticed, reasons: see :func:`report`.
        least: the share of the group that has to be noticed; None: each survivor needs a reason.
    """
    all_tried = [m for found in tried.values() for m in found]
    if least is not None:
        share = _share(all_tried, noticed)
        return [f"{', '.join(tried)}: {share:.1%} noticed, below {least:.0%}"] if share < least else []
    bare = [m for m in all_tried if not noticed[m.key] and _place(m) not in reasons]
    return [f"{m.file}:{m.line}: a mutant survived without a reason in {ACCEPTED.name}" for m in bare]


def stale(existing: Mapping[str, Sequence[Mutant]], reasons: Reasons) -> list[str]:
    """Accepted mutants that the files in ``existing`` no longer have."""
    places = {_place(m) for found in existing.values() for m in found}
    gone = [(file, was) for file, was, becomes in reasons if file in existing and (file, was, becomes) not in places]
    return [f"{ACCEPTED.name}: {file} has no such mutant of {was!r}: take it out" for file, was in dict.fromkeys(gone)]


def _place(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.file, mutant.was, mutant.becomes


def _share(tried: Sequence[Mutant], noticed: Mapping[str, bool]) -> float:
    return sum(noticed[m.key] for m in tried) / len(tried) if tried else 1.0


def _difference(mutant: Mutant, reason: str | None) -> str:
    return f"{mutant.difference}\n= {reason}" if reason else mutant.difference
