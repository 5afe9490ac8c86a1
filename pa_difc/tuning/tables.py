"""The tables of a study's report: rows of text, the first one the header."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from ..evaluation.criteria import CONSENSUS
from ..report.statistics import paired_p, t_interval
from ..report.table import shown_metrics
from ..util.numbers import fixed, signed
from .assessment import Assessment, Line
from .study import Choice

Rows = list[list[str]]


def main_table(lines: Sequence[Line]) -> Rows:
    """Scores of configurations, with standard deviations if there are several seeds.

    Mean recall of classes with at least 20 faces is left out where it is unknown, or that of all classes.
    """
    of_frequent = ((line.values["macro_recall_20"], line.values["macro_recall"]) for line in lines)
    metrics = shown_metrics(any(values and values != of_all for values, of_all in of_frequent))

    def row(line: Line) -> list[str]:
        name = line.name + (" †" if line.collapsed else "")
        return [name, *(line.cell(metric) for metric in metrics)]

    return [["settings", *(f"{name}, %" for name in metrics.values())], *map(row, lines)]


def gain_table(lines: Sequence[Line]) -> Rows:
    """What tuning changed in mean recall, paired by seed.

    Args:
        lines: the choice, then the defaults, each with its values over the same seeds.
    """
    chosen, defaults = lines[:2]
    pairs = zip(chosen.values["macro_recall"], defaults.values["macro_recall"], strict=True)
    gains = [100 * (a - b) for a, b in pairs]
    p = paired_p(gains)
    interval = "–" if p is None else " to ".join(map(signed, t_interval(gains)))
    values = [chosen.cell("macro_recall"), defaults.cell("macro_recall"), signed(mean(gains)), interval]
    return [
        ["metric", "chosen, %", "defaults, %", "Δ, points", "95 % interval", "p", "seeds"],
        ["mean recall", *values, "–" if p is None else fixed(p, 3), str(len(gains))],
    ]


def criteria_table(choice: Choice, assessment: Assessment | None) -> Rows:
    """The pick of each criterion and, with labels, its regret against the best trial."""
    rows = [["criterion", "picks trial", *(["regret, points", "Spearman"] if assessment else [])]]
    for name in choice.scores:
        pick = choice.candidates[choice.pick(name)].number
        known = [fixed(100 * assessment.regret[name]), signed(assessment.correlation[name], 2)] if assessment else []
        rows.append([name, str(pick), *known])
    return rows


def trials_table(choice: Choice, objective: str, assessment: Assessment | None) -> Rows:
    """Every complete trial with what the choice goes by and, with labels, its recall, read after the choice.

    Args:
        choice: the final choice.
        objective: the criterion that trials maximised.
        assessment: scores by target labels, if there are any.
    """
    criteria = list(dict.fromkeys([objective, *CONSENSUS]))
    heads = [f"{name} (objective)" if name == objective else name for name in criteria]
    known = ["target mean recall, %"] if assessment else []
    rows = [["trial", *choice.chosen.params, *heads, "rank", "keeps source recall", *known]]
    for i, (trial, ok) in enumerate(zip(choice.candidates, choice.feasible, strict=True)):
        mark = " (chosen)" if trial.number == choice.chosen.number else ""
        values = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in trial.params.values())
        scores = [fixed(choice.scores[name][i], 4) for name in criteria]
        recall = [fixed(100 * assessment.recalls[i])] if assessment else []
        rank = fixed(choice.rank(i), 2)
        rows.append([f"{trial.number}{mark}", *values, *scores, rank, "yes" if ok else "no", *recall])
    return rows


def trials_csv(choice: Choice, assessment: Assessment | None) -> list[list[Any]]:
    """The same for programs: with all criteria, unrounded values, and recall in [0, 1]."""
    names = [name for name in choice.scores if name != "consensus"]
    known = ["target_macro_recall"] if assessment else []
    rows: list[list[Any]] = [["trial", *choice.chosen.params, *names, "rank", "keeps_source", "chosen", *known]]
    for i, (trial, ok) in enumerate(zip(choice.candidates, choice.feasible, strict=True)):
        scores = [f"{choice.scores[name][i]:.6f}" for name in names]
        recall = [f"{assessment.recalls[i]:.6f}"] if assessment else []
        is_chosen = trial.number == choice.chosen.number
        rows.append([trial.number, *trial.params.values(), *scores, choice.rank(i), ok, is_chosen, *recall])
    return rows
