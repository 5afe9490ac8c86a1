"""A study's report: one self-contained page, and the same in Markdown."""

from __future__ import annotations

import html
import re
from itertools import starmap

import optuna

from ..evaluation.metrics import COLLAPSED
from ..report.brief import split_lead
from ..report.page import html_figure, html_page, html_table, markdown_table
from ..report.printed import aligned
from ..report.table import csv_text
from ..util.files import write_text
from ..util.markdown import write_markdown
from ..util.names import as_utf8
from ..util.numbers import with_minus
from ..util.terminal import wrapped
from ..util.version import VERSION
from .assessment import Assessment
from .explained import few_trials, near_ends, reasons, standing, trained_with
from .figures import figures
from .gain import gain_sentence
from .objective import Task
from .plan import StudyPlan
from .space import Space, defaults
from .study import ENSV, ORACLE, SELECTIONS, Choice, objective_criterion
from .tables import criteria_table, gain_table, main_table, trials_csv, trials_table

#: The main result if the target has no labels.
UNSCORED = "The target has no labels: whether the chosen values beat the defaults on it is unknown."


def write_report(
    plan: StudyPlan, study: optuna.Study, choice: Choice, assessment: Assessment | None, task: Task
) -> str:
    """Writes report.html, report.md and trials.csv to the study's folder.

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
    hints = [*few_trials(choice), *near_ends(choice, plan.space, settings)]
    place = standing(choice, assessment.recalls) if assessment else ""
    names = list(map(as_utf8, task.source.label_set.names))
    objective = objective_criterion(plan.select)
    drawn = (html_figure(*figure) for figure in figures(study, choice, assessment, names, objective))
    blocks = [
        *map(_text, split_lead(lead), ("lead", "")),
        *(_text(warning, "warn") for warning in (*warnings, *hints)),
        _text(" ".join(reasons(choice, plan.select))),
        _text(_facts(plan, study, choice), "facts"),
        *starmap(_table, scored),
        *([_text(f"{place} {BEST}".strip(), "hint")] if assessment else []),
        _table("Criteria", criteria_table(choice, assessment)),
        _failures(choice, assessment),
        _table("Trials", trials_table(choice, objective, assessment)),
        _text(RANK, "hint"),
        _space(task, plan.space),
        (f"<h2>Figures</h2><div class='figures'>{''.join(drawn)}</div>", ""),
        _again(plan),
    ]
    pages, texts = zip(*blocks, strict=True)
    title = title_of(plan)
    write_markdown(out / "report.md", "\n\n".join([f"# {title}", *filter(None, texts)]) + "\n")
    write_text(out / "report.html", html_page(title, "\n".join(pages)))
    write_text(out / "trials.csv", csv_text(trials_csv(choice, assessment)))
    shown = [wrapped(with_minus(text), indent=0) for text in (lead, *warnings)]
    for title, rows in scored:
        shown += ["", f"{title}:", *aligned(rows)]
    return "\n".join([*shown, wrapped(f"{place} {BEST}".strip(), indent=0), ""] if scored else shown)


#: What the last row of the trials' table needs to be read with.
BEST = "The best by target labels uses target labels: for reference only."

#: How to read the criteria in the trials' table.
RANK = (
    "rank: the mean rank by im, class_ami and ensv; 1 is the best by all three. Of the criteria, larger is better. "
    f"{ENSV} All criteria and unrounded values: trials.csv."
)

#: A piece of the report, as HTML and as Markdown.
Block = tuple[str, str]


def title_of(plan: StudyPlan) -> str:
    """The page's title: what was tuned on which pair, the study's name if it was given one, and a mark of an oracle."""
    settings = plan.settings
    pair = as_utf8(f"{settings.data.source} → {settings.data.target}")
    words = [f"Tuning {settings.method.name} + {settings.loss.name}, {pair}"]
    words += [as_utf8(plan.study)] if plan.study is not None else []
    words += ["CHOSEN BY TARGET LABELS"] if plan.select == ORACLE else []
    return " · ".join(words)


def _text(words: str, kind: str = "") -> Block:
    if not words:
        return "", ""
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
        "Regret: how far the mean recall of a criterion's pick is below that of the best trial; "
        "criteria that pick one trial have the same. "
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
    """Tables by title: means over seeds must not be compared with single runs."""
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    return [
        (f"Trained anew, scored on the target's test faces ({over})", main_table(assessment.lines)),
        ("What tuning changed (paired by seed)", gain_table(assessment.lines)),
        ("The trials themselves, scored on the target's test faces (one seed)", main_table(assessment.pool)),
    ]


def warn(assessment: Assessment, select: str) -> list[str]:
    """Warnings: a choice by target labels, and collapsed models."""
    warnings = []
    if select == ORACLE:
        warnings.append("This study chose by TARGET LABELS: an upper bound, for reference only.")
    warnings += [
        f"{line.name}: collapsed, as {COLLAPSED}." for line in (*assessment.lines, *assessment.pool) if line.collapsed
    ]
    return warnings
