"""A study's report: one page that needs no network, and the same in Markdown."""

from __future__ import annotations

import argparse
import html
import re
from pathlib import Path
from statistics import mean, stdev

import optuna

from ..report.page import html_figure, html_page, html_table, markdown_table
from ..util.files import write_text
from .assessment import METRICS, Aftermath, Line
from .figures import figures
from .objective import Task
from .space import Dimension, defaults
from .study import SELECTIONS, Choice

#: What a busy person takes away where there are no labels.
UNSCORED = "The target has no labels: whether the chosen values do better on it than the defaults can't be said."


def write_report(
    out: Path,
    study: optuna.Study,
    choice: Choice,
    aftermath: Aftermath | None,
    task: Task,
    space: dict[str, Dimension],
    arguments: argparse.Namespace,
) -> str:
    """Writes report.html and report.md below ``out``; returns its main table, or first sentence, for a terminal.

    ``aftermath`` is None for a target without labels: what tuning bought can't be said then.
    """
    lead, warnings = (sentence(aftermath, arguments), warn(aftermath, arguments)) if aftermath else (UNSCORED, [])
    tables = [
        *([("On the target's test split", main_table(aftermath))] if aftermath else []),
        ("Criteria", criteria_table(choice, aftermath)),
        ("Trials", trials_table(choice, aftermath)),
        ("Search space", space_table(task, space)),
    ]
    count = len(choice.candidates)
    facts = (
        f"{study.study_name}: {count} complete trials, {arguments.features} features, "
        f"final choice by {arguments.select} ({SELECTIONS[arguments.select]})."
    )
    url = arguments.storage or f"sqlite:///{out / 'study.db'}"
    how = f"`optuna-dashboard {url}` opens the study (`pip install optuna-dashboard`)."
    opened = re.sub("`(.+?)`", r"<code>\1</code>", html.escape(how))
    command = (out / "command.txt").read_text().strip()
    markdown = [f"# {study.study_name}", lead, *(f"**{w}**" for w in warnings), facts]
    page = [f"<p class='lead'>{html.escape(lead)}</p>", *(f"<p class='warn'>{html.escape(w)}</p>" for w in warnings)]
    page.append(f"<p>{html.escape(facts)}</p>")
    for title, rows in tables:
        markdown += [f"## {title}", markdown_table(rows)]
        page.append(f"<h2>{title}</h2>{html_table(rows, title)}")
    drawn = "".join(html_figure(title, picture) for title, picture in figures(study, choice, aftermath).items())
    page.append(f"<h2>Figures</h2><div class='figures'>{drawn}</div>")
    page.append(f"<h2>Again</h2><p><code>{html.escape(command)}</code></p><p>{opened}</p>")
    markdown += ["## Again", f"```sh\n{command}\n```", how]
    write_text(out / "report.md", "\n\n".join(markdown) + "\n")
    write_text(out / "report.html", html_page(study.study_name, "\n".join(page)))
    if aftermath is None:
        return lead
    lines = ([f"{row[0]:<28}", *(f"{cell:<15}" for cell in row[1:])] for row in main_table(aftermath))
    return "\n".join("".join(line).rstrip() for line in lines)


def sentence(aftermath: Aftermath, arguments: argparse.Namespace) -> str:
    """What a busy person takes away."""
    both = [line.values["macro_recall"] for line in aftermath.lines[:2]]
    selected, base = map(mean, both)
    gain = 100 * (selected - base)
    differences = [100 * (a - b) for a, b in zip(*both, strict=True)]
    within = len(differences) > 1 and abs(gain) <= stdev(differences)
    word = "did not change" if abs(gain) < 0.05 else "raised" if gain > 0 else "lowered"
    amount = "" if abs(gain) < 0.05 else f" by {abs(gain):.1f} points"
    seeds = len(arguments.confirm_seeds)
    return (
        f"Tuning {word} mean recall on {arguments.target}{amount}: {100 * selected:.1f} % against {100 * base:.1f} % "
        f"with the defaults, mean over {seeds} seed{'s' if seeds > 1 else ''}."
        + (" The difference is no larger than its spread over seeds: tuning was not worth it here." if within else "")
    )


def warn(aftermath: Aftermath, arguments: argparse.Namespace) -> list[str]:
    """What must not be overlooked."""
    warnings = []
    if arguments.select == "oracle":
        warnings.append("This study chose by TARGET LABELS: a bound, not a result.")
    warnings += [
        f"{line.name}: collapsed, fewer than half of the classes were ever predicted."
        for line in aftermath.lines
        if line.collapsed
    ]
    return warnings


def main_table(aftermath: Aftermath) -> list[list[str]]:
    """Selected, defaults, source-only, worst, oracle: means and spreads over seeds."""

    def row(line: Line) -> list[str]:
        name = line.name + (" †" if line.collapsed else "")
        return [name, *(line.cell(metric) for metric in METRICS), line.note]

    return [["", "accuracy %", "mean recall %", "macro-F1 %", ""], *map(row, aftermath.lines)]


def criteria_table(choice: Choice, aftermath: Aftermath | None) -> list[list[str]]:
    """What each criterion would have picked, and where there are labels how far that is from the best there was."""
    rows = [["criterion", "picks trial", *(["regret, points", "Spearman"] if aftermath else []), "known failure"]]
    for name in choice.scores:
        pick = choice.candidates[choice.pick(name)].number
        known = [f"{100 * aftermath.regret[name]:.1f}", f"{aftermath.correlation[name]:+.2f}"] if aftermath else []
        rows.append([name, str(pick), *known, SELECTIONS[name]])
    return rows


def trials_table(choice: Choice, aftermath: Aftermath | None) -> list[list[str]]:
    """Every complete trial; recall on the target, if it can be known, was looked at after the choice."""
    keys = list(choice.chosen.params)
    rows = [["trial", *keys, "objective", "keeps source recall", *(["target mean recall %"] if aftermath else [])]]
    for i, (trial, ok) in enumerate(zip(choice.candidates, choice.feasible, strict=True)):
        mark = " (chosen)" if trial.number == choice.chosen.number else ""
        values = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in trial.params.values())
        recall = [f"{100 * aftermath.recalls[i]:.1f}"] if aftermath else []
        rows.append([f"{trial.number}{mark}", *values, f"{trial.value:.4f}", "yes" if ok else "no", *recall])
    return rows


def space_table(task: Task, space: dict[str, Dimension]) -> list[list[str]]:
    """Each searched value with its range, unit and default."""
    own = defaults(task.config, space)
    return [["value", "what it is"], *([key, d.describe(key, own[key]).partition(": ")[2]] for key, d in space.items())]
