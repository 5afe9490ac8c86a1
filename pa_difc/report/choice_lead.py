"""Sentences on a choice without target labels."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from ..util.numbers import fixed
from .certainty import WEAK, is_weak, learnt_little
from .grid import Grid
from .run import AS_IS
from .selection import Candidate, Selection

#: How sentences name the as_is baseline.
AS_IS_IN_WORDS = f"{AS_IS}, the pretrained classifier without training"


def sentence_of_choice(selection: Selection) -> str:
    """The chosen cell, after a warning if it learnt little, then its scores by the labels, read after the choice."""
    chosen, n = selection.chosen, len(selection.candidates)
    chosen_by = f"Chosen without labels: {chosen.name}, {_among(selection)}."
    weak = [f"{WEAK}."] if n > 1 and is_weak(selection) else []
    text = " ".join([*learnt_little(selection), chosen_by, *weak])
    as_is = [c for c in selection.candidates if c.method == AS_IS and c is not chosen]
    named = [("it", chosen), *((c.name, c) for c in as_is)]
    scores = [f"{name} {_scores_of([run.scores for run in c.runs])}" for name, c in named]
    return f"{text} By the labels, read after the choice, {'; '.join(scores)}."


def _among(selection: Selection) -> str:
    """By what the chosen cell was chosen, and among how many, in words."""
    n, allowed = len(selection.candidates), len(selection.allowed)
    if n == 1:
        return "the only cell"
    if allowed == 1:
        return f"the only one of {n} cells that may be chosen"
    some = f"{allowed} of {n} cells, since the others are ruled out" if allowed < n else f"{n} cells"
    return f"by consensus among {some}"


def _scores_of(scores: Sequence[dict[str, Any]]) -> str:
    recall, accuracy = (fixed(100 * mean(s[metric] for s in scores)) for metric in ("macro_recall", "accuracy"))
    return f"has {recall} % mean recall and {accuracy} % accuracy"


def unscored_sentence(grid: Grid, selection: Selection | None) -> str:
    """The cell to use for a target without labels, or a warning of it; ``selection`` is None if none can be chosen."""
    text = f"{grid.target} has no labels: how good a cell is on it is unknown"
    if selection is None:
        return f"{text}, and none can be chosen: outputs.npz of a run is missing."
    chosen = selection.chosen
    n = len(selection.candidates)
    why = _among(selection)
    why = f"chosen {why}" if why.startswith("by ") else why
    if not chosen.eligible:
        why += ", none of which passes the rules: unreliable"
    if warning := learnt_little(selection):
        return f"{warning[0]} {text}. {chosen.name} is {why}."
    known = _on_source(grid, chosen)
    if chosen.method == AS_IS:
        said = [f"Take {AS_IS_IN_WORDS}, {why}", *known, f"Nothing says that {lower(training_on(grid))} helped"]
        return f"{text}. {'. '.join(said)}."
    said = [f"Take {chosen.name}, {why}", *[WEAK] * (n > 1 and is_weak(selection)), *known]
    if chosen.agreement is not None:
        said.append(f"It agrees with {AS_IS_IN_WORDS}, on {chosen.agreement:.0%} of the faces")
    return f"{text}. {'. '.join(said)}."


def _on_source(grid: Grid, chosen: Candidate) -> list[str]:
    """A sentence without a full stop on what a cell knows of the source; none without one."""
    share = chosen.source
    return [] if share is None else [f"Its mean recall on held-out faces of {grid.source} is {share.value:.0%}"]


def training_on(grid: Grid) -> str:
    """What the cells of a grid do with its data, as the start of a sentence."""
    return f"Training on {grid.source}" if grid.runs[0].has_source else "Adapting to the target alone"


def lower(text: str) -> str:
    """A text whose first letter is small."""
    return text[0].lower() + text[1:]
