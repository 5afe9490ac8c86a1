"""The section of an error page on groups of faces."""

from __future__ import annotations

import html
from collections.abc import Sequence

from ..evaluation.metrics import ENOUGH_FACES
from ..util.intervals import Share
from .errors_style import bdi, table
from .face_groups import is_number
from .group_recall import ByGroup, GroupRecall
from .words import gap_sentence, interval, share

_MOST_GROUPS, _MOST_CLASSES = 30, 12  #: most rows and class columns of a table; groups.csv has them all
_MOST_NUMBERS = 5  #: different numbers in a column that are taken for groups
_FEW = "†"


def group_section(groups: Sequence[ByGroup], classes: Sequence[str], notes: Sequence[str]) -> str:
    """Recalls by group as HTML.

    Args:
        groups: one for each column of the --groups file.
        classes: the class names.
        notes: on parts of the file that did not fit.
    """
    said = [
        f"<p>Each share has its 95% interval (Wilson; of a mean, from those of its recalls). {_FEW}: fewer than "
        f"{ENOUGH_FACES} faces, too few to conclude anything; such a group has no part in a gap.</p>"
    ]
    said.append(f"<ul class='note'>{''.join(f'<li>{html.escape(note)}</li>' for note in notes)}</ul>" if notes else "")
    return "".join([*said, *(_column(one, classes) for one in groups)])


def _column(one: ByGroup, classes: Sequence[str]) -> str:
    """A column's gap in a sentence, and its table, of the largest groups only if there are many."""
    largest = sorted(one.groups, key=lambda group: -group.faces)[:_MOST_GROUPS]
    shown = [group for group in one.groups if any(group is other for other in largest)]
    rows = [["group", "faces", "accuracy", "mean recall", *(classes if len(classes) <= _MOST_CLASSES else [])]]
    rows += [_row(group, len(rows[0]) - 4) for group in shown]
    said = [f"<h3>{bdi(one.column)}</h3><p>{html.escape(_gap(one, classes))}</p>", table(rows, one.column)]
    if left := len(one.groups) - len(shown):
        said.append(f"<p class='note'>{left:,} smaller groups are listed only in groups.csv.</p>")
    return "".join(said)


def _row(group: GroupRecall, k: int) -> list[str]:
    name = f"{group.name} {_FEW}" if group.few else group.name
    return [name, f"{group.faces:,}", _cell(group.accuracy), _cell(group.mean_recall), *(
        _cell(group.recall(c), f"of {group.counts[c]:,}") for c in range(k)
    )]  # fmt: skip


def _cell(found: Share | None, of: str = "") -> str:
    """A share, with its interval and number of faces on further lines."""
    if found is None:
        return "–"
    return f"{share(found.value)}\n{interval(found)}" + (f"\n{of}" if of else "")


def _gap(one: ByGroup, classes: Sequence[str]) -> str:
    """Sentences on the gap, and on the classes that it averages over."""
    if len(one.groups) == 1:
        return "There is one group: nothing to compare."
    compared = sum(not group.few for group in one.groups)
    if compared < 2:
        return f"Fewer than two groups have {ENOUGH_FACES} faces: no gap is reported.{_ranges(one)}"
    if not one.classes:
        return (
            f"No class occurs in all groups with at least {ENOUGH_FACES} faces: their mean recalls can't be compared."
        )
    names = ", ".join(classes[k] for k in one.classes)
    over = f" Mean recall is over the classes that all of them have: {names}."
    if len(one.classes) == len(classes):
        over = f" Mean recall is over all {len(classes)} classes."
    best = f" It is the largest gap among {compared} groups: some of it is chance." if compared > 2 else ""
    return gap_sentence(one) + best + over


def _ranges(one: ByGroup) -> str:
    """A hint for a column of many different numbers."""
    if len(one.groups) > _MOST_NUMBERS and all(is_number(group.name) for group in one.groups):
        return " Its values are numbers: write ranges instead, such as 20–29."
    return ""
