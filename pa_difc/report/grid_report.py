"""From a folder of runs to one page, its Markdown, its tables as CSV and its figures."""

from __future__ import annotations

import html
import re
from pathlib import Path
from statistics import mean

from ..util.files import write_text
from . import tables
from .examples import changed_faces
from .figures import figures
from .grid import Grid, load_grids
from .page import html_figure, html_page, html_table, markdown_table
from .published import NOTE
from .selection import CHOSEN_BY, candidates_table, judged, predicted_table, select, selection_notes
from .table import COLLAPSE_NOTE, TRANSDUCTIVE_NOTE, csv_text

#: Title of the table that shows how choosing without target labels would have done.
JUDGED = "Choosing without target labels"


def write_grid_report(runs: Path, out: Path, data_root: Path | None = None) -> list[Path]:
    """Writes report.html, report.md, tables/*.csv and figures/*.svg below ``out``; returns the pages.

    Everything is read from records; nothing is trained or predicted. Of a target without labels there are the
    predictions, and the cell that is chosen without them.

    Args:
        runs: below it lie the runs.
        out: the folder to write.
        data_root: the folder of datasets, for faces whose prediction DIFC changed in the page (Table 6); None for none.

    Raises:
        UserError: there are no runs, a record is damaged, or a file can't be written.
    """
    grids = load_grids(runs)
    pages = []
    for grid in grids:
        folder = out if len(grids) == 1 else out / _slug(grid.title)
        _write(grid, folder, _command(runs), data_root)
        pages.append(folder / "report.html")
    return pages


def sentence(grid: Grid) -> str:
    """What a busy person takes away: the best cell by mean recall, and what its loss gained over cross-entropy.

    Of a target without labels: the cell to take.
    """
    if not grid.labelled:
        return _unscored_sentence(grid)
    cells = {(m, k): runs for m in grid.methods for k in grid.losses if (runs := grid.of(m, k))}
    value = {cell: mean(r.scores["macro_recall"] for r in runs.values()) for cell, runs in cells.items()}
    method, loss = best = max(value, key=lambda cell: value[cell])
    seeds = len(cells[best])
    recalls = tables.spread([100 * r.scores["macro_recall"] for r in cells[best].values()])
    text = f"{method} + {loss} has the highest mean recall on {grid.target}, {recalls} %"
    if loss != tables.BASE and (base := grid.of(method, tables.BASE)):
        gain, p = tables.paired(cells[best], base)
        p = "" if p == "–" else p if p.startswith("<") else f"= {p}"
        text += f", {gain} points over cross-entropy" + (f" (p {p}, {seeds} seeds)" if p else "")
        text += _classes_that_moved(grid, method, loss)
    else:
        text += "; no loss gained over cross-entropy there"
    return text + (". One seed: an anecdote, not a result." if seeds == 1 else ".")


def _unscored_sentence(grid: Grid) -> str:
    selection = select(grid)
    text = f"{grid.target} has no labels: how good a cell is on it can't be said"
    if selection is None:
        return f"{text}, and for want of kept outputs none can be chosen."
    return f"{text}. Take {selection.chosen.name}, chosen by {CHOSEN_BY} among {len(selection.candidates)}."


def _classes_that_moved(grid: Grid, method: str, loss: str) -> str:
    def average(name: str) -> list[float]:
        rows = [r.scores["recall"] for r in grid.of(method, name).values()]
        return [mean(v or 0.0 for v in column) for column in zip(*rows, strict=True)]

    change = [100 * (b - a) for a, b in zip(average(tables.BASE), average(loss), strict=True)]
    order = sorted(range(len(change)), key=lambda k: change[k])
    names = tables.EXPRESSIONS
    return (
        f"; {names[order[-1]]} gains most ({change[order[-1]]:+.0f}), {names[order[0]]} least ({change[order[0]]:+.0f})"
    )


def _write(grid: Grid, out: Path, command: str | None, data_root: Path | None) -> None:
    lead = sentence(grid)
    content, notes = _scored(grid) if grid.labelled else _unscored(grid)
    content = {title: rows for title, rows in content.items() if len(rows) > 1}
    pictures = figures(grid)
    markdown = [f"# {grid.title}", lead, *notes]
    heads = [*content, "Figures", *(["Faces"] if data_root else [])]
    links = "".join(f"<a href='#{_slug(title)}'>{html.escape(title)}</a>" for title in heads)
    page = [f"<p class='lead'>{html.escape(lead)}</p>", f"<nav aria-label='Contents'>{links}</nav>"]
    page += [f"<p>{html.escape(note)}</p>" for note in notes]
    for title, rows in content.items():
        markdown += [f"## {title}", markdown_table(rows)]
        page.append(f"<h2 id='{_slug(title)}'>{html.escape(title)}</h2>{html_table(rows, title)}")
        write_text(out / "tables" / f"{_slug(title)}.csv", csv_text(rows))
    write_text(out / "tables" / "runs.csv", csv_text(tables.runs(grid)))
    page.append("<h2 id='figures'>Figures</h2>")
    for heading, drawn in pictures.items():
        shown = "".join(html_figure(title, picture) for title, picture in drawn.items())
        page.append(f"<h3>{html.escape(heading)}</h3><div class='figures'>{shown}</div>")
        for title, picture in drawn.items():
            write_text(out / "figures" / f"{_slug(title)}.svg", picture)
    if data_root is not None:
        faces = "".join(html_figure(title, image) for title, image in changed_faces(grid, data_root).items())
        page.append(f"<h2 id='faces'>Faces whose prediction DIFC changed</h2><div class='figures'>{faces}</div>")
    if command:
        page.append(f"<h2>Again</h2><p><code>{html.escape(command)}</code></p>")
        markdown += ["## Again", f"```sh\n{command}\n```"]
    write_text(out / "report.md", "\n\n".join(markdown) + "\n")
    write_text(out / "report.html", html_page(grid.title, "\n".join(page)))


def _scored(grid: Grid) -> tuple[dict[str, tables.Rows], list[str]]:
    """Tables by title and notes, where there are labels to score by."""
    main, by_criterion = tables.ablation(grid), judged(grid)
    content = {
        "Methods and losses": main,
        "Mean recall, methods × losses": tables.methods_by_losses(grid, "macro_recall"),
        "Accuracy, methods × losses": tables.methods_by_losses(grid, "accuracy"),
        JUDGED: by_criterion,
        "Order of confusion on the target": tables.confusion_order(grid),
        "Recall of confused and other classes": tables.confusing_recall(grid),
        "Predictions that DIFC changed": tables.changed_predictions(grid),
        "Samples per class": tables.imbalance(grid),
    }
    return content, _notes(grid, main, len(by_criterion) > 1)


def _unscored(grid: Grid) -> tuple[dict[str, tables.Rows], list[str]]:
    """Tables by title and notes, where there are none."""
    content = {
        "Order of confusion on the target": tables.confusion_order(grid),
        "Samples per class": tables.imbalance(grid),
    }
    notes: list[str] = []
    if selection := select(grid):
        chosen = {
            "Choosing without labels": candidates_table(selection),
            "Predicted classes (%)": predicted_table(selection),
        }
        content, notes = chosen | content, [f"{note}." for note in selection_notes(selection)]
    return content, notes + _left_out(grid)


def _left_out(grid: Grid) -> list[str]:
    if not grid.replaced:
        return []
    return [f"{grid.replaced} older runs of the same cells, with other settings or code, are left out."]


def _notes(grid: Grid, main: tables.Rows, is_judged: bool) -> list[str]:
    way = f' ("{JUDGED}" shows what would be one, and how it did)' if is_judged else ""
    notes = [
        "In %, target test split, mean ± standard deviation over seeds, last epoch; no target label was used in "
        "training or selection. Δ and p are paired by seed (t-test, from three seeds on).",
        f"Naming the best cell reads test labels: it describes this grid and is no way to select a model{way}.",
    ]
    if any("†" in row[1] for row in main):
        notes.append(COLLAPSE_NOTE + ".")
    if grid.runs[0].record["data"]["target"].get("transductive"):
        notes.append(TRANSDUCTIVE_NOTE + ".")
    if main[0][-1].startswith("published"):
        notes.append(NOTE)
    return notes + _left_out(grid)


def _command(runs: Path) -> str | None:
    path = runs / "command.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("→", "to").replace("×", "x")).strip("-")
