"""A study's report: one self-contained page, and the same in Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import starmap

import optuna

from ..evaluation.metrics import METRICS
from ..report.page import html_figure, html_page, html_table, markdown_table
from ..report.printed import aligned
from ..util.files import write_text
from ..util.markdown import write_markdown
from ..util.names import as_utf8
from ..util.numbers import fixed, signed
from ..util.terminal import wrapped
from ..util.version import VERSION
from .assessment import Assessment, Line
from .explained import near_ends, reasons, trained_with
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
    out, settings = plan.folder, plan.settings
    lead = gain_sentence(assessment.lines, settings.data.target) if assessment else UNSCORED
    warnings = warn(assessment, plan.select) if assessment else []
    scored = _scored(assessment, len(plan.seeds)) if assessment else []
    hints = near_ends(choice, plan.space, settings)
    names = list(map(as_utf8, task.source.label_set.names))
    drawn = (html_figure(title, picture) for title, picture in figures(study, choice, assessment, names).items())
    blocks = [
        _text(lead, "lead"),
        *(_text(warning, "warn") for warning in (*warnings, *hints)),
        _text(" ".join(reasons(choice, plan.select))),
        _text(_facts(plan, study, choice), "facts"),
        *starmap(_table, scored),
        *([_text(BEST, "hint")] if assessment else []),
        _table("Criteria", criteria_table(choice, assessment)),
        _failures(choice, assessment),
        _table("Trials", trials_table(choice, assessment)),
        _space(task, plan.space),
        (f"<h2>Figures</h2><div class='figures'>{''.join(drawn)}</div>", ""),
        _again(plan),
    ]
    pages, texts = zip(*blocks, strict=True)
    write_markdown(out / "report.md", "\n\n".join([f"# {study.study_name}", *filter(None, texts)]) + "\n")
    write_text(out / "report.html", html_page(study.study_name, "\n".join(pages)))
    shown = [wrapped(text, indent=0) for text in (lead, *warnings)]
    for title, rows in scored:
        shown += ["", f"{title}:", *aligned(rows)]
    return "\n".join([*shown, wrapped(BEST, indent=0), ""] if scored else shown)


#: What the last row of the trials' table needs to be read with.
BEST = "The best by target labels uses target labels: for reference only."

#: A piece of the report, as HTML and as Markdown.
Block = tuple[str, str]


def _text(words: str, kind: str = "") -> Block:
    marked = f"**{words}**" if kind == "warn" else words
    return f"<p{kind and f' class={kind!r}'}>{html.escape(words)}</p>", marked


def _table(title: str, rows: list[list[str]]) -> Block:
    return f"<h2>{html.escape(title)}</h2>{html_table(rows, title)}", f"## {title}\n\n{markdown_table(rows)}"


def _listed(words: dict[str, str]) -> Block:
    """Names with words, as paragraphs: on a phone a table would break the words into a column of syllables."""
    page = "".join(f"<p><b>{html.escape(name)}</b>: {html.escape(said)}</p>" for name, said in words.items())
    return page, "\n".join(f"- **{name}**: {said}" for name, said in words.items())


def _space(task: Task, space: Space) -> Block:
    """Each searched value with its range, unit and default."""
    own, epochs = defaults(task.settings, space), task.settings.run.epochs
    page, text = _listed({key: d.describe(own[key], epochs) for key, d in space.items()})
    return f"<h2>Search space</h2>{page}", f"## Search space\n\n{text}"


def _failures(choice: Choice, assessment: Assessment | None) -> Block:
    """What the columns mean, and how each criterion can fail; folded, as it is the same in every study."""
    columns = (
        "Regret: how far the mean recall of a criterion's pick is below that of the best trial. "
        "Spearman: the rank correlation of the criterion with mean recall over all trials."
    )
    found = {name: SELECTIONS[name] for name in choice.scores}
    lines, listed = _listed(found)
    title = "What each criterion measures, and how it fails"
    said = columns if assessment else ""
    page = (f"<p class='hint'>{said}</p>" if said else "") + f"<details><summary>{title}</summary>{lines}</details>"
    return page, "\n\n".join(filter(None, [said, f"{title}:", listed]))


def _facts(plan: StudyPlan, study: optuna.Study, choice: Choice) -> str:
    """The trials' number, settings, date and version, on a line."""
    ends = [trial.datetime_complete for trial in choice.candidates if trial.datetime_complete]
    date = f", {max(ends):%Y-%m-%d}" if ends else ""
    about = trained_with(plan.settings, list(plan.space), plan.features)
    return f"{study.study_name}: {len(choice.candidates)} complete trials; {about}; pa-difc {VERSION}{date}."


def _again(plan: StudyPlan) -> Block:
    """The command that made the study, and the one that opens it."""
    how = f"`optuna-dashboard {plan.address.url}` opens the study (`pip install optuna-dashboard`)."
    opened = re.sub("`(.+?)`", r"<code>\1</code>", html.escape(how))
    command = (plan.folder / "command.txt").read_text(encoding="utf-8").strip()
    page = f"<h2>Commands to repeat this</h2><p><code>{html.escape(command)}</code></p><p>{opened}</p>"
    return page, f"## Commands to repeat this\n\n```sh\n{command}\n```\n\n{how}"


def _scored(assessment: Assessment, seeds: int) -> list[tuple[str, list[list[str]]]]:
    """Two tables by title: means over seeds must not be compared with single runs."""
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    return [
        (f"Trained anew, scored on the target's test faces ({over})", main_table(assessment.lines)),
        ("The trials themselves, scored on the target's test faces (one seed)", main_table(assessment.pool)),
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
        return [name, *(line.cell(metric) for metric in METRICS)]

    return [["settings", *(f"{name}, %" for name in METRICS.values())], *map(row, lines)]


def criteria_table(choice: Choice, assessment: Assessment | None) -> list[list[str]]:
    """The pick of each criterion and, with labels, its regret against the best trial."""
    rows = [["criterion", "picks trial", *(["regret, points", "Spearman"] if assessment else [])]]
    for name in choice.scores:
        pick = choice.candidates[choice.pick(name)].number
        known = [fixed(100 * assessment.regret[name]), signed(assessment.correlation[name], 2)] if assessment else []
        rows.append([name, str(pick), *known])
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
