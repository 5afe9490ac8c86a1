"""A study's report: one self-contained page, and the same in Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import optuna

from ..evaluation.metrics import METRICS
from ..report.page import html_figure, html_page, html_table, markdown_table
from ..util.files import write_text
from ..util.markdown import write_markdown
from ..util.names import as_utf8
from ..util.numbers import fixed, signed
from ..util.terminal import wrapped
from .assessment import Assessment, Line
from .figures import figures
from .gain import gain_sentence
from .objective import Task
from .plan import StudyPlan
from .space import Space, defaults
from .study import ORACLE, SELECTIONS, Choice

#: The main result if the target has no labels.
UNSCORED = "The target has no labels: whether the chosen values beat the defaults on it is unknown."


def write_report(
    plan: StudyPlan, study: optuna.Study, choice: Choice, assessment: Assessment | None, task: Task
) -> str:
    """Writes report.html and report.md to the study's folder.

    Args:
        plan: of the study.
        study: with its trials.
        choice: the chosen trial.
        assessment: scores by target labels; None for a target without labels.
        task: the trials' common data.

    Returns:
        The text for the terminal: the main result, and with an assessment the main tables.
    """
    out, target = plan.folder, plan.settings.data.target
    lead, warnings = UNSCORED, []
    if assessment:
        lead, warnings = gain_sentence(assessment.lines, target), warn(assessment, plan.select)
    tables = [
        *(_scored(assessment, len(plan.seeds)) if assessment else []),
        ("Criteria", criteria_table(choice, assessment)),
        ("Trials", trials_table(choice, assessment)),
        ("Search space", space_table(task, plan.space)),
    ]
    count = len(choice.candidates)
    facts = (
        f"{study.study_name}: {count} complete trials, {plan.features} features, "
        f"final choice by {plan.select} ({SELECTIONS[plan.select]})."
    )
    how = f"`optuna-dashboard {plan.address.url}` opens the study (`pip install optuna-dashboard`)."
    opened = re.sub("`(.+?)`", r"<code>\1</code>", html.escape(how))
    command = (out / "command.txt").read_text(encoding="utf-8").strip()
    markdown = [f"# {study.study_name}", lead, *(f"**{w}**" for w in warnings), facts]
    page = [f"<p class='lead'>{html.escape(lead)}</p>", *(f"<p class='warn'>{html.escape(w)}</p>" for w in warnings)]
    page.append(f"<p>{html.escape(facts)}</p>")
    for title, rows in tables:
        markdown += [f"## {title}", markdown_table(rows)]
        page.append(f"<h2>{title}</h2>{html_table(rows, title)}")
    drawn = "".join(
        html_figure(title, picture)
        for title, picture in figures(
            study, choice, assessment, list(map(as_utf8, task.source.label_set.names))
        ).items()
    )
    page.append(f"<h2>Figures</h2><div class='figures'>{drawn}</div>")
    page.append(f"<h2>Commands to repeat this</h2><p><code>{html.escape(command)}</code></p><p>{opened}</p>")
    markdown += ["## Commands to repeat this", f"```sh\n{command}\n```", how]
    write_markdown(out / "report.md", "\n\n".join(markdown) + "\n")
    write_text(out / "report.html", html_page(study.study_name, "\n".join(page)))
    if assessment is None:
        return lead
    shown = [*(wrapped(text, indent=0) for text in (lead, *warnings)), ""]
    for title, rows in _scored(assessment, len(plan.seeds)):
        lines = ([f"{row[0]:<28}", *(f"{cell:<15}" for cell in row[1:])] for row in rows)
        shown += [f"{title}:", *("".join(line).rstrip() for line in lines), ""]
    return "\n".join(shown)


def _scored(assessment: Assessment, seeds: int) -> list[tuple[str, list[list[str]]]]:
    """Two tables by title: means over seeds must not be compared with single runs."""
    over = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    return [
        (f"On the target's test split, trained again: {over}", main_table(assessment.lines)),
        ("Among the trials, on one seed", main_table(assessment.pool)),
    ]


def warn(assessment: Assessment, select: str) -> list[str]:
    """Warnings: a choice by target labels, and collapsed models."""
    warnings = []
    if select == ORACLE:
        warnings.append("This study chose by TARGET LABELS: an upper bound, for reference only.")
    warnings += [
        f"{line.name}: collapsed, fewer than half of the classes that occur were ever predicted."
        for line in (*assessment.lines, *assessment.pool)
        if line.collapsed
    ]
    return warnings


def main_table(lines: Sequence[Line]) -> list[list[str]]:
    """Scores of configurations, with standard deviations if there are several seeds."""

    def row(line: Line) -> list[str]:
        name = line.name + (" †" if line.collapsed else "")
        return [name, *(line.cell(metric) for metric in METRICS), line.note]

    return [["", *(f"{name}, %" for name in METRICS.values()), ""], *map(row, lines)]


def criteria_table(choice: Choice, assessment: Assessment | None) -> list[list[str]]:
    """The pick of each criterion and, with labels, its regret against the best trial."""
    rows = [["criterion", "picks trial", *(["regret, points", "Spearman"] if assessment else []), "known failure"]]
    for name in choice.scores:
        pick = choice.candidates[choice.pick(name)].number
        known = [fixed(100 * assessment.regret[name]), signed(assessment.correlation[name], 2)] if assessment else []
        rows.append([name, str(pick), *known, SELECTIONS[name]])
    return rows


def trials_table(choice: Choice, assessment: Assessment | None) -> list[list[str]]:
    """Every complete trial, with its recall on the target if there are labels, read after the choice."""
    keys = list(choice.chosen.params)
    rows = [["trial", *keys, "objective", "keeps source recall", *(["target mean recall %"] if assessment else [])]]
    for i, (trial, ok) in enumerate(zip(choice.candidates, choice.feasible, strict=True)):
        mark = " (chosen)" if trial.number == choice.chosen.number else ""
        values = (f"{v:.3g}" if isinstance(v, float) else str(v) for v in trial.params.values())
        recall = [fixed(100 * assessment.recalls[i])] if assessment else []
        rows.append([f"{trial.number}{mark}", *values, f"{trial.value:.4f}", "yes" if ok else "no", *recall])
    return rows


def space_table(task: Task, space: Space) -> list[list[str]]:
    """Each searched value with its range, unit and default."""
    own, epochs = defaults(task.settings, space), task.settings.run.epochs
    return [["value", "what it is"], *([key, d.describe(own[key], epochs)] for key, d in space.items())]
