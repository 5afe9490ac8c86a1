"""How certain a choice without labels is: the evidence for and against it, and what would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from statistics import mean

from ..util.numbers import fixed
from .selection import AGAINST_AS_IS, Selection
from .tables import agreement

#: How many faces the user is advised to label.
_LABELLED = 200

#: On held-out source faces, a classifier less than this share of the way from guessing to perfect has learnt little.
_LITTLE = 0.1


def certainty(selection: Selection) -> list[str]:
    """Sentences to read before relying on the choice; no target label is read.

    The 95 % margin of error of an accuracy p on n faces is 1.96 √(p (1 − p) / n), at most 0.98 / √n.
    """
    chosen = selection.chosen
    others = [c for c in selection.candidates if c is not chosen]
    if not others:
        return [*learnt_little(selection), "There was nothing to choose from."]
    picks = {name: selection.pick(name) for name in AGAINST_AS_IS}
    for_it = [name for name, pick in picks.items() if pick is chosen]
    against: dict[str, list[str]] = {}
    for name, pick in picks.items():
        if pick is not chosen:
            against.setdefault(pick.name, []).append(name)
    found = f"Used alone, {_pick(for_it)} it too" if for_it else "Used alone, no criterion picks it"
    rivals = listed([f"{_pick(names)} {rival}" for rival, names in against.items()])
    lines = [*learnt_little(selection), f"{found}{'; ' + rivals if rivals else ''}."]
    second = max(others, key=lambda c: c.scores["consensus"])
    if 2 * len(for_it) < len(picks):
        lines.append("The criteria disagree: the choice is weak.")
    rank, next_rank = selection.rank(chosen), selection.rank(second)
    if rank == next_rank:
        tied = f"It is tied with {second.name} at a mean rank of {fixed(rank)}"
        lines.append(f"{tied}: the first in the table is chosen.")
    else:
        lines.append(
            f"Its mean rank is {fixed(rank)} among {len(selection.candidates)} cells (1 is the best); that of "
            f"{second.name} {fixed(next_rank)}."
        )
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


def _pick(names: Sequence[str]) -> str:
    return f"{listed(names)} pick{'s' * (len(names) == 1)}"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", or "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def learnt_little(selection: Selection) -> list[str]:
    """A warning if the chosen cell hardly beats guessing on held-out source faces; reads source labels only."""
    recall, guess = selection.chosen.scores["src_macro"], 1 / len(selection.classes)
    if not selection.has_source or recall > guess + _LITTLE * (1 - guess):
        return []
    return [
        f"Do not use {selection.chosen.name} yet: its mean recall on held-out source is {recall:.1%}, and guessing "
        f"among {len(selection.classes)} classes has {guess:.1%}. It needs {selection.longer}, more labelled faces, or "
        f"{'other ' * _pretrained(selection)}weights to start from."
    ]


def _pretrained(selection: Selection) -> bool:
    """Whether the chosen cell started from weights."""
    return selection.chosen.runs[0].settings["model"].get("pretrained") is not None
