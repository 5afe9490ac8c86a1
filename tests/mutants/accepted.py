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


def report(
    drawn: Mapping[str, Sequence[Mutant]], noticed: Mapping[str, bool], least: Mapping[str, float | None]
) -> tuple[str, list[str]]:
    """A table of files and the survivors, and what is to be complained about.

    Args:
        drawn: the mutants of each file that were tried.
        noticed: by a mutant's key.
        least: the share of each file that has to be noticed; None: each survivor is accepted with a reason.
    """
    reasons = read(ACCEPTED)
    rows, shown, complaints = [], [], []
    total = len([m for found in drawn.values() for m in found])
    for file, found in drawn.items():
        survivors = [m for m in found if not noticed[m.key]]
        unexplained = [m for m in survivors if (file, m.was, m.becomes) not in reasons]
        share = 1 - len(survivors) / len(found) if found else 1.0
        rows.append(f"| {file} | {len(found)} | {len(found) - len(survivors)} | {share:.1%} | {len(unexplained)} |")
        if (bound := least[file]) is None and unexplained:
            complaints.append(f"{file}: {len(unexplained)} survived without a reason in {ACCEPTED.name}")
        elif bound is not None and share < bound:
            complaints.append(f"{file}: {share:.1%} noticed, below {bound:.0%}")
        for m in survivors:
            reason = reasons.get((file, m.was, m.becomes))
            shown.append(f"{m.diff}\n= {reason}" if reason else m.diff)
    killed = sum(noticed[m.key] for found in drawn.values() for m in found)
    head = "| file | mutants | noticed | share | unexplained |\n|---|--:|--:|--:|--:|"
    foot = f"| all | {total} | {killed} | {killed / max(total, 1):.1%} | |"
    return "\n".join(["\n\n".join(shown), "", head, *rows, foot, ""]), complaints


def read(path: Path) -> dict[tuple[str, str, str], str]:
    """The reason for each accepted mutant, by file and by what a line was and becomes."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        (file, entry["was"].strip("\n"), becomes.strip("\n")): entry["reason"]
        for file, entries in table.items()
        for entry in entries
        for becomes in entry["becomes"]
    }
