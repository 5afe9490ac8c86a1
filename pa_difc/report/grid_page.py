"""The page of one grid: its tables, notes and figures, also as Markdown, CSV and SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..evaluation.metrics import ENOUGH_NOTE
from ..util.bars import tqdm
from ..util.files import write_text
from ..util.markdown import write_markdown
from . import interactive, layout, tables
from .again import again_html, again_markdown
from .brief import html_lead, split_lead
from .caveats import caveats
from .certainty import certainty
from .choice_lead import sentence_of_choice
from .choice_tables import candidates_table, judged, predicted_table, selection_notes
from .compared import NOTE as DIFFERENCES_NOTE
from .compared import differences_table, statistics_rows, thin_note
from .drawing import Figure
from .examples import changed_faces
from .figures import DATA, figures
from .grid import Grid
from .latex import write_latex
from .lead import in_short, sentence
from .limits import limits_of
from .page import html_figure, html_page, markdown_table, slug
from .plane import Plane, plane_of
from .published import NOTE
from .selection import Selection, select
from .table import COLLAPSE_NOTE, TRANSDUCTIVE_NOTE, csv_text

#: The metrics that have a table of differences, and their names in its title.
DIFFERENCES = {
    "macro_recall": "mean recall",
    "accuracy": "accuracy",
    "macro_recall_20": "mean recall of classes with at least 20 faces",
}
#: Title of the table that shows how well a choice without target labels would have done.
JUDGED = "Choosing without target labels"


@dataclass(frozen=True)
class Summary:
    """A page's entry in an overview."""

    page: Path
    title: str
    lead: str
    table: tables.Rows
    notes: list[str]  #: how to read the table
    settings: str = ""  #: a line on how its runs were trained


def write_grid(
    grid: Grid,
    out: Path,
    data_root: Path | None,
    formats: Sequence[str] = ("svg",),
    latex: bool = False,
    choice: Selection | None = None,
    columns: Sequence[str] = (),
    aside: Sequence[str] = (),
    damaged: int = 0,
) -> Summary:
    """Writes report.html, report.md, tables/*.csv and figures/* of a grid.

    Args:
        grid: the runs.
        out: the folder to write to.
        data_root: the folder of datasets, to show faces whose prediction DIFC changed; None leaves them out.
        formats: of the figures' files, see :data:`.drawing.FORMATS`.
        latex: also write tables/*.tex.
        choice: the choice of a command that makes one; the page begins with it.
        columns: those of the main table in LaTeX; see :func:`.for_paper`.
        aside: lines on what is left out, for the notes.
        damaged: how many runs are left out.

    Raises:
        UserError: a run's outputs are damaged, the data is not that of the runs, or a file can't be written.
    """
    with tqdm(total=2, desc="report: tables", unit="part", leave=False, disable=None) as bar:
        selection = choice or select(grid)
        bar.update()
        lead, detail = _told(grid, selection, choice)
        content, notes = _scored(grid, selection) if grid.labelled else _unscored(grid, selection)
    gone = [f"{line[0].upper()}{line[1:]}." for line in aside]
    notes = [
        *gone,
        *_apart(grid),
        *_multiplied(grid),
        *(f"{line}." for line in _caveats(grid, choice)),
        *notes,
    ]
    content = {title: rows for title, rows in content.items() if len(rows) > 1}
    said = [layout.facts(grid), layout.settings(grid)]
    limits = limits_of(grid, choice, damaged)
    markdown = [f"# {grid.title}", lead, *limits, *filter(None, [detail]), *said, *notes]
    for title, rows in content.items():
        markdown += [f"## {title}", markdown_table(rows)]
        write_text(out / "tables" / f"{slug(title)}.csv", csv_text(rows))
    write_text(out / "tables" / "runs.csv", csv_text(tables.every_run(grid)))
    if grid.labelled:
        write_text(out / "tables" / "statistics.csv", csv_text(statistics_rows(grid)))
    if latex:
        write_latex(grid, content, out / "tables", columns, gone)
    drawn = figures(grid)
    main = next(iter(content.items()), None)
    others = dict(list(content.items())[1:])
    plane = plane_of(grid, selection)
    picture = _picture(plane, out, formats) if plane else ""
    page = [layout.front(said, html_lead(lead, detail, limits), picture, main, notes), layout.tables(others)]
    page.append(_figures(drawn, out, formats))
    markdown += [
        "## Figures",
        "\n".join(
            f"- {f.title}. {f.caption}".rstrip()
            for shown in ([plane.figure()] if plane else [], *drawn.values())
            for f in shown
        ),
    ]
    if data_root is not None:
        faces = "".join(html_figure(title, image) for title, image in changed_faces(grid, data_root).items())
        page.append(f"<h2 id='faces'>Faces whose prediction DIFC changed</h2><div class='figures'>{faces}</div>")
    page.append(again_html(grid))
    markdown += again_markdown(grid)
    body, needed = "\n".join(page), [interactive.SCRIPT] if plane else []
    whole = html_page(grid.title, interactive.for_page(body) if plane else body, needed)
    write_text(out / "report.html", whole)  # before report.md: it marks the folder as ours
    write_markdown(out / "report.md", "\n\n".join(markdown) + "\n")
    return Summary(
        out / "report.html",
        grid.title,
        " ".join([lead, *limits]),
        main[1] if main else [],
        _on_main(grid, notes),
        said[-1],
    )


def _told(grid: Grid, selection: Selection | None, choice: Selection | None) -> tuple[str, str]:
    """The page's lead, and what it leaves out."""
    whole = sentence(grid, selection)
    if not grid.labelled:
        return split_lead(whole)
    if choice is None:
        return split_lead(in_short(grid))[0], whole
    lead, rest = split_lead(sentence_of_choice(choice))
    return lead, f"{rest} {whole}".strip()


def _on_main(grid: Grid, notes: Sequence[str]) -> list[str]:
    """The notes that an overview needs, without those on the other tables of a target with labels."""
    return [note for note in notes if not (grid.labelled and note.startswith(("←", "How certain")))]


def _picture(plane: Plane, out: Path, formats: Sequence[str]) -> str:
    """The plot of all cells as HTML; also writes it to files."""
    figure = plane.figure()
    return interactive.html_cells(plane, figure.write(out / "figures" / slug(figure.title), formats))


def _figures(drawn: dict[str, list[Figure]], out: Path, formats: Sequence[str]) -> str:
    """The section of figures as HTML, folded by method; also writes each figure to files."""
    page = "<h2 id='figures'>Figures</h2>"
    files = sum(map(len, drawn.values())) * (1 + len(formats))  # with the one in the page
    bar = tqdm(total=files, desc="report: figures", unit="file", leave=False, disable=None)
    for heading, shown in drawn.items():
        pictures = ""
        for figure in shown:
            picture = figure.write(out / "figures" / slug(figure.title), formats, bar.update)
            pictures += html_figure(figure.title, picture, figure.caption)
        fold = "" if heading == DATA else " class='fold'"
        page += f"<details{fold} open><summary>{html.escape(heading)}</summary>"
        page += f"<div class='figures'>{pictures}</div></details>"
    bar.close()
    return page


def _scored(grid: Grid, selection: Selection | None) -> tuple[dict[str, tables.Rows], list[str]]:
    """Tables by title, and notes, for a target with labels."""
    main, by_criterion = tables.ablation(grid), judged(selection)
    is_judged = selection is not None and len(by_criterion) > 1
    content = {
        "Methods and losses": main,
        "Mean recall, methods × losses": tables.methods_by_losses(grid, "macro_recall"),
        "Mean recall of classes with at least 20 faces": tables.methods_by_losses(grid, "macro_recall_20"),
        "Accuracy, methods × losses": tables.methods_by_losses(grid, "accuracy"),
        **_differences(grid, "losses", ""),
        **_differences(grid, "methods", " between methods"),
        JUDGED: by_criterion,
        **({"Criteria of the choice": candidates_table(selection)} if selection and is_judged else {}),
        "Order of confusion on the target": tables.confusion_order(grid),
        "Recall of confused and other classes": tables.confusing_recall(grid),
        "Predictions that DIFC changed": tables.changed_predictions(grid),
        "Samples per class": tables.imbalance(grid),
    }
    if not grid.tells_frequent:
        content = {title: rows for title, rows in content.items() if "at least 20 faces" not in title}
    compared = any(head.startswith("Δ") for rows in content.values() if len(rows) > 1 for head in rows[0])
    notes = _notes(grid, main, is_judged, compared)
    return content, [*notes, *_of_choice(grid, selection)] if selection and is_judged else notes


def _unscored(grid: Grid, selection: Selection | None) -> tuple[dict[str, tables.Rows], list[str]]:
    """Tables by title, and notes, for a target without labels."""
    content = {
        "Order of confusion on the target": tables.confusion_order(grid),
        "Samples per class": tables.imbalance(grid),
    }
    notes: list[str] = []
    if selection:
        chosen = {
            "Choosing without labels": candidates_table(selection),
            "Predicted classes (%)": predicted_table(selection),
        }
        content, notes = chosen | content, _of_choice(grid, selection)
    return content, notes + _left_out(grid)


def _of_choice(grid: Grid, selection: Selection) -> list[str]:
    """Notes on how to read the candidates' table, and on how certain the choice is."""
    sure = f"How certain is the choice on {grid.title}? {' '.join(certainty(selection))}"
    return [*(f"{note}." for note in selection_notes(selection)), sure]


def _differences(grid: Grid, between: str, suffix: str) -> dict[str, tables.Rows]:
    """The tables of differences by title."""
    return {f"Differences in {name}{suffix}": differences_table(grid, m, between) for m, name in DIFFERENCES.items()}


def _apart(grid: Grid) -> list[str]:
    if not grid.differs:
        return []
    return [f"Other runs of this pair have tables of their own. These have: {', '.join(grid.differs)}."]


def _caveats(grid: Grid, choice: Selection | None) -> list[str]:
    return grid.caveats if choice is None else [*choice.remarks, *caveats(grid.runs, choice.longer)]


def _multiplied(grid: Grid) -> list[str]:
    """A note on the model whose probabilities multiply the predictions, the same for all cells; empty without one."""
    shown = grid.runs[0].settings.get("eval", {})
    if (product := shown.get("product", "none")) == "none":
        return []
    whose = "the pretrained classifier" if product == "start" else f"the model of {product}"
    return [
        f"Predictions of every trained cell are p · q^{shown['product_power']:g}, with the probabilities q of {whose} "
        "(eval.product)."
    ]


def _left_out(grid: Grid) -> list[str]:
    n = grid.replaced
    return [f"{n} older run{'s' * (n > 1)} of the same cells left out."] if n else []


def _notes(grid: Grid, main: tables.Rows, is_judged: bool, compared: bool) -> list[str]:
    way = f' ("{JUDGED}" shows what would be one, and how it did)' if is_judged else ""
    notes = [
        "In %, target test split, mean ± standard deviation over seeds, last epoch; no target label was used in "
        "training or selection." + f" {ENOUGH_NOTE}." * grid.tells_frequent,
        *(
            f"{line[0].upper()}{line[1:]}. A difference over fewer seeds than its cell has names them."
            for line in grid.seeds_note
        ),
        *([DIFFERENCES_NOTE, *thin_note(grid)] if compared else []),
        f"Naming the best cell reads test labels: it describes this grid and is not a way to select a model{way}.",
    ]
    if any("†" in row[1] for row in main):
        notes.append(COLLAPSE_NOTE + ".")
    if grid.runs[0].record["data"]["target"].get("transductive"):
        notes.append(TRANSDUCTIVE_NOTE + ".")
    if main[0][-1].startswith("published"):
        notes.append(NOTE)
    return notes + _left_out(grid)
