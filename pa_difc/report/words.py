"""Numbers of an error page in words, and its first sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .group_recall import ByGroup, Share, wilson
from .mistakes import CONFIDENCES, find_pairs
from .reviewed import Reviewed

_UNSURE, _SURE = CONFIDENCES[1], CONFIDENCES[-1]


def share(value: float) -> str:
    """In whole %, where nothing but none is 0% and nothing but all is 100%."""
    if 0 < value < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= value < 1 else f"{value:.0%}"


def interval(found: Share) -> str:
    """ "39 to 43%": the ends of an interval."""
    return f"{100 * found.low:.0f} to {found.high:.0%}"


def points(found: Share) -> str:
    """A difference with its interval, in points: "14 points (95 % interval 5 to 22)"."""
    low, high = (round(100 * value) + 0 for value in (found.low, found.high))
    return f"{100 * found.value:.0f} points (95 % interval {low} to {high})"


def lead(r: Reviewed, groups: Sequence[ByGroup]) -> list[str]:
    """What one should know first, a sentence each."""
    said = _unlabelled(r) if r.labels is None else _labelled(r)
    return said + [text for one in groups[:2] if (text := gap_sentence(one))]


def gap_sentence(one: ByGroup) -> str:
    """How far a column's groups are apart; nothing if they can't be compared."""
    if (gap := one.gap) is None:
        return ""
    values = {group.name: group.mean_recall for group in one.groups}
    best, worst = values[gap.best], values[gap.worst]
    assert best is not None and worst is not None
    text = (
        f"By {one.column}, mean recall is {share(best.value)} for {gap.best} and {share(worst.value)} for {gap.worst}: "
        f"{points(gap.size)} apart"
    )
    if gap.by_chance > 0.05:
        return f"{text}, no more than chance gives ({share(gap.by_chance)} of random groupings are as far apart)."
    return f"{text}; {share(gap.by_chance)} of random groupings are as far apart."


def _labelled(r: Reviewed) -> list[str]:
    assert r.labels is not None
    n, wrong = len(r.labels), int((r.predicted != r.labels).sum())
    if not wrong:
        return [f"All {n:,} faces are right."]
    found = wilson(wrong, n)
    first = find_pairs(r.labels, r.probs)[0]
    pair = f"{r.classes[first.true]} → {r.classes[first.predicted]}"
    said = [
        f"Of {n:,} faces {share(found.value)} are wrong ({wrong:,}; 95 % interval {interval(found)}).",
        f"{share(first.of_errors)} of all errors are {pair}: so end {share(first.of_true)} of the faces of "
        f"{r.classes[first.true]}.",
    ]
    counts = np.bincount(r.labels, minlength=len(r.classes))
    right = np.bincount(r.labels[r.predicted == r.labels], minlength=len(r.classes))
    worst = min(np.flatnonzero(counts).tolist(), key=lambda k: right[k] / counts[k])
    if worst != first.true:
        said.append(
            f"{r.classes[worst]} is right least often, {share(right[worst] / counts[worst])} of {counts[worst]:,}."
        )
    sure = int(((r.predicted != r.labels) & (r.confidence >= _SURE)).sum())
    if sure:
        said.append(f"{sure:,} errors are made with {_SURE:.0%} confidence or more.")
    return said


def _unlabelled(r: Reviewed) -> list[str]:
    n, unsure = len(r.probs), float((r.confidence < _UNSURE).mean())
    said = [f"Of {n:,} faces without labels {share(unsure)} are predicted with less than {_UNSURE:.0%} confidence."]
    if r.committee is not None:
        split = float(r.committee.split.mean())
        said.append(f"Of {share(split)} the {r.committee.cells} cells do not all name the same class.")
    return [*said, "Look at those below first: there a label would tell most."]
