"""Explains a study's choice: by which criterion, against which other trial, and whether its space was too narrow."""

from __future__ import annotations

from collections.abc import Sequence

from ..training.settings import Settings
from ..util.numbers import fixed
from .sampler import RANDOM
from .space import Space, defaults
from .study import SELECTIONS, Choice, objective_criterion


def reasons(choice: Choice, selection: str) -> list[str]:
    """Sentences on why a trial was chosen, and not the one that trials were ranked by while they ran.

    Args:
        choice: the final choice.
        selection: a key of :data:`.study.SELECTIONS`.
    """
    chosen, criterion = choice.chosen, objective_criterion(selection)
    rule = f"consensus over several criteria: {SELECTIONS[selection]}" if selection == "consensus" else selection
    said = [f"Trial {chosen.number} is chosen by {rule}."]
    if not any(choice.feasible):
        said.append("No trial keeps the source's recall, so all could be chosen.")
    first = max(range(len(choice.candidates)), key=lambda i: choice.candidates[i].value or 0.0)
    if (best := choice.candidates[first]).number == chosen.number:
        return [*said, f"It also has the best {criterion}, {best.value:.4f}."] if selection != criterion else said
    lost = ", but that trial does not keep the source's recall" if any(choice.feasible) > choice.feasible[first] else ""
    return [*said, f"The best {criterion} is trial {best.number}'s: {best.value:.4f} against {chosen.value:.4f}{lost}."]


def few_trials(choice: Choice) -> list[str]:
    """A warning where the sampler has learnt from no trial, since its first ones are random."""
    if (number := len(choice.candidates)) > RANDOM:
        return []
    trials = "1 trial" if number == 1 else f"{number} trials"
    return [f"Only {trials}: the sampler draws its first {RANDOM} at random. Give more with --trials."]


def standing(choice: Choice, recalls: Sequence[float]) -> str:
    """Where the chosen trial stands among all by target labels, which the choice has not seen.

    Args:
        choice: the final choice.
        recalls: target mean recall of each candidate, in [0, 1].
    """
    own = recalls[next(i for i, t in enumerate(choice.candidates) if t.number == choice.chosen.number)]
    better, number = sum(value > own for value in recalls), len(recalls)
    if number == 1 or not better:
        return ""
    below = f"{fixed(100 * (max(recalls) - own))} points below the best"
    if own == min(recalls):
        return f"By target labels, the chosen trial is the worst of {number}, {below}."
    return f"By target labels, {better} of {number} trials are better than the chosen one, which is {below}."


def near_ends(choice: Choice, space: Space, settings: Settings) -> list[str]:
    """A hint for each chosen value in the outer tenth of its range: the optimum may lie outside.

    Args:
        choice: the final choice.
        space: the searched space.
        settings: the run's own.
    """
    own, epochs = defaults(settings, space), settings.run.epochs
    said = []
    for key, value in choice.chosen.params.items():
        if end := space[key].near_end(value, own[key], epochs):
            low, high = space[key].bounds(own[key], epochs)
            said.append(
                f"{key} {value:.3g} lies at the {end} end of {low:g} … {high:g}: the best value may be outside. "
                "To search there, widen the range in a copy of hpo/spaces.py; give --space FILE.py and --study NAME."
            )
    return said


def trained_with(settings: Settings, searched: Sequence[str], features: str) -> str:
    """The settings that all trials share, as a line."""
    lr = "searched" if "lr" in searched else f"{settings.optimiser.lr:g}"
    return (
        f"{settings.data.source} → {settings.data.target}, method {settings.method.name}, loss {settings.loss.name}, "
        f"backbone {settings.model.backbone}, {features} features, epochs {settings.run.epochs}, learning rate {lr}, "
        f"seed {settings.run.seed}"
    )
