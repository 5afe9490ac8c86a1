"""The layout of a grid's page: the main result, plot and table first, then sections of tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from .again import set_for_all
from .grid import Grid
from .groups import code_version
from .page import Rows, html_table, slug
from .run import AS_IS
from .variants import plain_value

#: Sections that combine several tables: the section's title, and the tables' titles.
SECTIONS = {
    "Methods × losses": (
        "Mean recall, methods × losses",
        "Mean recall of classes with at least 20 faces",
        "Accuracy, methods × losses",
    ),
    "Differences between losses": (
        "Differences in mean recall",
        "Differences in accuracy",
        "Differences in mean recall of classes with at least 20 faces",
    ),
    "Differences between methods": (
        "Differences in mean recall between methods",
        "Differences in accuracy between methods",
        "Differences in mean recall of classes with at least 20 faces between methods",
    ),
    "How well choosing without labels works": ("Choosing without target labels", "Criteria of the choice"),
    "Confusion": (
        "Order of confusion on the target",
        "Recall of confused and other classes",
        "Predictions that DIFC changed",
    ),
}

#: A table with more letters in a line than this takes a whole row of its section.
_LETTERS = 55


def facts(grid: Grid) -> str:
    """A line on what was run."""
    cells, seeds = {run.cell[:2] for run in grid.runs}, sorted({run.cell[2] for run in grid.runs})
    counted = [(len(cells), "cell"), (len(grid.runs), "run"), (len(grid.classes), "class")]
    said = [f"{n} {name}{'' if n == 1 else 'es' if name.endswith('s') else 's'}" for n, name in counted]
    seed = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return " · ".join([*said[:2], seed, said[2], f"backbone {grid.backbone}"])


def settings(grid: Grid) -> str:
    """A line on how and when the runs were trained: features, epochs, optimiser, rate, code and dates."""
    trained = [run for run in grid.runs if run.method != AS_IS]
    frozen = any(side.get("features_of") for run in trained for side in run.record["data"].values())
    how = "heads on frozen features" if frozen else "whole network trained" if trained else "nothing was trained"
    of_runs = (
        {}
        if not trained
        else {
            "epochs": [run.settings["run"]["epochs"] for run in trained],
            "optimiser": [run.settings["optimiser"]["name"] for run in trained],
            "learning rate": [run.settings["optimiser"]["lr"] for run in trained],
        }
    )
    said = [f"{name} {' and '.join(dict.fromkeys(map(plain_value, values)))}" for name, values in of_runs.items()]
    code = " and ".join(dict.fromkeys(filter(None, (code_version(run.record) for run in trained or grid.runs))))
    days = sorted({str(run.record["finished"])[:10] for run in trained or grid.runs})
    said += [f"pa-difc {code}"] if code else []
    said.append(f"finished {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else ""))
    given = set_for_all(trained)
    said += [f"set {', '.join(given)}"] if given else []
    return "Settings: " + " · ".join([how, *said])


def front(said: Sequence[str], lead: str, picture: str, main: tuple[str, Rows] | None, notes: Sequence[str]) -> str:
    """The first screen: the main result, the main table, the plot of all cells, and notes on how to read them.

    Args:
        said: lines on what was run, and how.
        lead: the main result, as HTML.
        picture: the plot's HTML; may be empty.
        main: title and rows of the main table, if there is one.
        notes: how to read them.
    """
    parts = [*(f"<p class='facts'>{html.escape(line)}</p>" for line in said), lead, "<div class='front'>"]
    if main:
        title, rows = main
        parts.append(f"<section class='numbers'>{_heading(title, 2)}{html_table(rows, title)}</section>")
    parts.append(picture)
    return "".join([*parts, notes_beside(notes), "</div>"])


def notes_beside(notes: Sequence[str]) -> str:
    """Notes in a box of their own, folded on a phone; empty without notes."""
    shown = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    folded = f"<details class='fold-narrow' open><summary>How to read it</summary>{shown}</details>"
    return f"<aside class='notes' aria-label='How to read it'>{folded}</aside>" if shown else ""


def tables(content: Mapping[str, Rows]) -> str:
    """The tables' HTML, related ones in one section."""
    section_of = {title: name for name, titles in SECTIONS.items() for title in titles}
    grouped: dict[str, dict[str, Rows]] = {}
    for title, rows in content.items():
        grouped.setdefault(section_of.get(title, title), {})[title] = rows
    return "".join(_section(name, found) for name, found in grouped.items())


def _section(name: str, found: Mapping[str, Rows]) -> str:
    if len(found) == 1:
        ((title, rows),) = found.items()
        return _heading(title, 2) + html_table(rows, title)
    parts = []
    for title, rows in found.items():
        whole = " style='grid-column: 1 / -1'" if _letters(rows) > _LETTERS else ""
        parts.append(f"<div{whole}>{_heading(title, 3)}{html_table(rows, title)}</div>")
    return f"{_heading(name, 2)}<div class='tables'>{''.join(parts)}</div>"


def _letters(rows: Rows) -> int:
    """A table's width in letters, with two between columns."""
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True))


def _heading(title: str, level: int) -> str:
    return f"<h{level} id='{slug(title)}'>{html.escape(title)}</h{level}>"
