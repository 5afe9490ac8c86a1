"""The figures of a study, as SVG to embed in its page."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from optuna.trial import TrialState

from ..report.drawing import BLUE, GRAY, ORANGE, svg
from .assessment import Assessment
from .study import Choice

#: The share of trials that PED-ANOVA takes as the best, and how many of them Optuna's documentation asks for.
_BEST, _ENOUGH = 0.1, 5


def figures(
    study: optuna.Study, choice: Choice, assessment: Assessment | None, classes: Sequence[str], objective: str
) -> list[tuple[str, str, str]]:
    """All figures that the study has data for: title, SVG and caption.

    Args:
        study: with its trials.
        choice: the final choice.
        assessment: scores by target labels, if there are any.
        classes: their names.
        objective: the criterion that trials maximised.
    """
    drawn = [("History", svg(lambda ax: history(ax, study)), f"The objective, which trials maximise, is {objective}.")]
    if {"max_margin", "epsilon"} <= choice.chosen.params.keys():
        drawn.append(
            ("Margin cap × ε", svg(lambda ax: surface(ax, choice)), "A point is a trial, coloured by its objective.")
        )
    lines = "A line is a trial, the thick one the chosen: each value's rank among all trials, 1 for the largest."
    drawn.append(("Parallel coordinates", svg(lambda ax: parallel(ax, choice)), lines))
    if assessment:
        first = "Trained anew, the first seed."
        drawn.append(("Target predictions", svg(lambda ax: predictions(ax, assessment, classes)), first))
        drawn.append(("Recall per class on the target", svg(lambda ax: recalls(ax, assessment, classes)), first))
    weights = importance(study)
    if weights:
        drawn.append(("Importance", svg(lambda ax: bars(ax, weights)), doubt(len(choice.candidates))))
    return drawn


def doubt(trials: int) -> str:
    """How far the bars of importance can be relied on, by the number of complete trials."""
    best = ceil(_BEST * trials)
    few = f": {best} trial{'s are' if best > 1 else ' is'} too few to rank settings by" if best < _ENOUGH else ""
    return f"Compares the best {_BEST:.0%} of {trials} trials with all{few}."


def history(ax: Axes, study: optuna.Study) -> None:
    from matplotlib.ticker import MaxNLocator

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = np.array([t.value for t in trials], dtype=float)
    ax.plot([t.number for t in trials], values, "o", color=BLUE, label="trial")
    ax.step([t.number for t in trials], np.maximum.accumulate(values), color=ORANGE, where="post", label="best so far")
    ax.set(xlabel="trial", ylabel="objective")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def surface(ax: Axes, choice: Choice) -> None:
    x = [t.params["max_margin"] for t in choice.candidates]
    y = [t.params["epsilon"] for t in choice.candidates]
    points = ax.scatter(x, y, c=np.array([t.value for t in choice.candidates], dtype=float), cmap="cividis", s=45)
    chosen = choice.chosen.params
    ax.plot(chosen["max_margin"], chosen["epsilon"], "s", ms=13, mfc="none", mec=ORANGE, mew=2, label="chosen")
    ax.plot(0.3, 0.02, "D", ms=11, mfc="none", mec=GRAY, label="the paper's")
    ax.set(xscale="log", yscale="log", xlabel="margin cap (logit units)", ylabel="ε (logit units)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    ax.figure.colorbar(points, ax=ax, label="objective")


def parallel(ax: Axes, choice: Choice) -> None:
    keys = list(choice.chosen.params)
    columns = [_ranked([t.params[k] for t in choice.candidates]) for k in keys]
    columns.append(_ranked([t.value for t in choice.candidates]))
    for i, trial in enumerate(choice.candidates):
        chosen = trial.number == choice.chosen.number
        heights = [column[i] for column in columns]
        ax.plot(heights, color=ORANGE if chosen else BLUE, lw=2.5 if chosen else 0.8, alpha=1 if chosen else 0.5)
    ax.set_xticks(range(len(columns)), [*keys, "objective"])
    ax.set_ylabel("rank within the study")


def predictions(ax: Axes, assessment: Assessment, classes: Sequence[str]) -> None:
    _grouped(ax, classes, {line.name: line.predicted for line in assessment.lines[:3]})
    ax.set_ylabel("faces predicted")


def recalls(ax: Axes, assessment: Assessment, classes: Sequence[str]) -> None:
    _grouped(
        ax,
        classes,
        {line.name: [np.nan if r is None else 100 * r for r in line.recall] for line in assessment.lines[:3]},
    )
    ax.set_ylabel("recall (%)")


def bars(ax: Axes, weights: dict[str, float]) -> None:
    ax.barh(list(weights), list(weights.values()), color=BLUE)
    ax.set_xlabel("share of the objective's variance (PED-ANOVA)")


def importance(study: optuna.Study) -> dict[str, float]:
    """The importance of each searched value by PED-ANOVA; empty if there are too few trials."""
    try:
        return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
    except (ValueError, RuntimeError):
        return {}


def _grouped(ax: Axes, classes: Sequence[str], series: dict[str, list[Any]]) -> None:
    width = 0.8 / len(series)
    for i, ((name, values), color) in enumerate(zip(series.items(), (ORANGE, BLUE, GRAY), strict=False)):
        ax.bar(np.arange(len(classes)) + (i - 1) * width, values, width, color=color, label=name)
    ax.set_xticks(range(len(classes)), classes, rotation=20 if len(classes) < 10 else 90)


def _ranked(values: list[Any]) -> np.ndarray[Any, Any]:
    order = {v: i for i, v in enumerate(sorted(set(values), key=str if isinstance(values[0], str) else None))}
    return np.array([order[v] for v in values]) / max(1, len(order) - 1)
