"""How certain a choice without labels is: the evidence for and against it, and what would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from statistics import mean

import numpy as np

from ..training.learnt import learnt_little as little
from ..util.names import listed
from ..util.numbers import fixed
from .phases import never_began
from .selection import AGAINST_AS_IS, Selection
from .statistics import bootstrap
from .tables import agreement

#: How many faces the user is advised to label.
_LABELLED = 200

#: What is said of a choice that most criteria would not make.
WEAK = "The criteria disagree: the choice is weak"


def certainty(selection: Selection) -> list[str]:
    """Sentences to read before relying on the choice; no target label is read.

    The 95 % margin of error of an accuracy p on n faces is 1.96 √(p (1 − p) / n), at most 0.98 / √n.
    """
    lines = [*learnt_little(selection), *_unfinished(selection)]
    if len(selection.candidates) == 1:
        only = selection.chosen.name
        return [*lines, f"{only} is the only cell: no choice was made, and nothing was compared with it."]
    lines += [*_criteria(selection), *_by_source(selection)]
    pairs = combinations([c.runs[0] for c in selection.candidates], 2)
    shares = [share for a, b in pairs if (share := agreement(a, b)) is not None]
    if shares:
        agree = f"Two cells agree on {mean(shares):.0%} of the faces on average, and on at least {min(shares):.0%}"
        if len(shares) == 1:
            agree = f"The two cells agree on {shares[0]:.0%} of the faces"
        lines.append(f"{agree}; where two differ, at least one is wrong.")
    lines.append(
        f"Only labels can tell: with {_LABELLED} of the faces labelled, accuracy is known to within "
        f"{98 / sqrt(_LABELLED):.0f} points."
    )
    return lines


def is_weak(selection: Selection) -> bool:
    """Whether most criteria, used alone, would choose another cell than consensus does."""
    return 2 * sum(selection.pick(name) is selection.chosen for name in AGAINST_AS_IS) < len(AGAINST_AS_IS)


def _criteria(selection: Selection) -> list[str]:
    """Which criteria alone would choose it among the cells that may be chosen, and how far the next one is behind."""
    chosen, allowed = selection.chosen, selection.allowed
    others = [c for c in allowed if c is not chosen]
    barred = len(allowed) < len(selection.candidates)
    if not others:
        return ["No other cell may be chosen."]
    picks = {name: selection.pick(name) for name in AGAINST_AS_IS}
    for_it = [name for name, pick in picks.items() if pick is chosen]
    against: dict[str, list[str]] = {}
    for name, pick in picks.items():
        if pick is not chosen:
            against.setdefault(pick.name, []).append(name)
    alone = "Used alone" + ", and among the cells that may be chosen" * barred
    found = f"{alone}, {_pick(for_it)} {chosen.name} too" if for_it else f"{alone}, no criterion picks {chosen.name}"
    rivals = listed([f"{_pick(names)} {rival}" for rival, names in against.items()])
    lines = [f"{found}{'; ' + rivals if rivals else ''}."]
    if is_weak(selection):
        lines.append(f"{WEAK}.")
    second = max(others, key=lambda c: c.scores["consensus"])
    rank, next_rank = selection.rank(chosen), selection.rank(second)
    if rank == next_rank:
        return [
            *lines,
            f"It is tied with {second.name} at a mean rank of {fixed(rank)}: the first in the table is chosen.",
        ]
    return [
        *lines,
        f"Its mean rank is {fixed(rank)} among {len(selection.candidates)} cells (1 is the best); that of "
        f"{second.name} {fixed(next_rank)}.",
    ]


def _by_source(selection: Selection) -> list[str]:
    """Which cells do not differ from the chosen one in source recall by more than chance, on the same faces."""
    chosen = selection.chosen.runs[0].outputs
    alike, faces = [], 0
    for c in selection.candidates:
        other = c.runs[0].outputs
        if not selection.has_source or c is selection.chosen or not chosen or not other:
            continue
        labels = chosen["source_labels"]
        if not np.array_equal(labels, other["source_labels"]):
            continue
        right = [(o["source_probs"].argmax(axis=1) == labels).astype(float) for o in (chosen, other)]
        low, high = bootstrap(labels, right[0] - right[1], "macro_recall")
        faces = len(labels)
        alike += [c.name] * (low <= 0 <= high)
    if not alike:
        return []
    verb = "differs" if len(alike) == 1 else "differ"
    return [
        f"In source recall, {listed(alike)} {verb} from it by no more than chance may explain (95 % intervals over "
        f"{faces:,} faces)."
    ]


def _unfinished(selection: Selection) -> list[str]:
    """A sentence if a phase of the chosen cell's loss never began."""
    late = never_began((run.settings for run in selection.chosen.runs), selection.longer)
    return [f"Its training lacked a phase: {line}." for line in late]


def _pick(names: Sequence[str]) -> str:
    return f"{listed(names)} pick{'s' * (len(names) == 1)}"


def learnt_little(selection: Selection) -> list[str]:
    """A warning if the chosen cell may be little better than guessing on held-out source; reads source labels only."""
    why = little([run.record for run in selection.chosen.runs])
    if why is None:
        return []
    return [
        f"Do not use {selection.chosen.name} yet: {why}. It needs {selection.longer}, more labelled faces, or "
        f"{'other ' * _pretrained(selection)}weights to start from."
    ]


def _pretrained(selection: Selection) -> bool:
    """Whether the chosen cell started from weights."""
    return selection.chosen.runs[0].settings["model"].get("pretrained") is not None
