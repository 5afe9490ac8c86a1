"""Writes a grid's tables as LaTeX, for the packages booktabs and graphicx."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..util.files import write_text
from ..util.names import NO_LOSS, shown_loss
from .compared import NOTE, OVER_FACES, thin_note
from .grid import Grid, over_seeds
from .over_targets import NOTE as OVER_TARGETS_NOTE
from .over_targets import columns, over_targets, sets_over_targets
from .page import slug
from .paper import for_paper
from .paths import table_file
from .statistics import TESTED, best_cells
from .table import COLLAPSE_MARK, COLLAPSE_NOTE
from .tables import UNTRAINED, Rows

_BOLD_NOTE = (
    "Bold: the best value of a column or table, and each value that may equal it by both seeds and faces: Holm's p of "
    "a paired t-test over seeds is at least 0.05 (with two seeds, one of them is better and the other is not), and the "
    "95 % interval over faces contains 0. Macro-F1 is not compared."
)
#: Under the other tables.
_BOLD_IN_SHORT = "Bold: the best value and those that may equal it."
#: The title of the table that explains what is bold.
_MAIN = "Methods and losses"
#: Shrinks a table that is wider than the text to the text's width.
_FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
#: A table with more columns than this is as wide as the page.
_WIDE = 6
#: Metrics whose best values are bold in tables of methods × losses, by title.
_ACROSS = {
    "Mean recall, methods × losses": "macro_recall",
    "Mean recall of classes with at least 20 faces": "macro_recall_20",
    "Accuracy, methods × losses": "accuracy",
}

#: Rows and columns of a table, both from 0; row 0 is the header.
Places = Collection[tuple[int, int]]

#: All work with Computer Modern in the OT1 encoding and with math mode, which every TeX has.
_ESCAPES = {
    "\\": r"$\backslash$", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"$\mathdollar$", "#": r"\#",
    "_": r"\_", "~": r"\~{}", "^": r"\^{}", "<": "$<$", ">": "$>$",
    "±": r"$\pm$", "×": r"$\times$", "Δ": r"$\Delta$", "ε": r"$\varepsilon$", "α": r"$\alpha$", "≥": r"$\geq$",
    "≤": r"$\leq$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "·": r"$\cdot$", "–": "--", "…": r"\dots{}",
    "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "§": r"$\mathsection$", "¶": r"$\mathparagraph$",
}  # fmt: skip


def write_latex(
    grid: Grid,
    content: Mapping[str, Rows],
    folder: Path,
    columns: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> None:
    """Writes a file for each table of a grid's page, for use with ``\\input``.

    Args:
        grid: the runs of the tables.
        content: tables by title.
        folder: to write to.
        columns: those of the main table; see :func:`.for_paper`.
        left_out: sentences on runs that are left out; they stand below the main table.

    Raises:
        UserError: a file can't be written.
    """
    for title, rows in content.items():
        bold = _best(grid, title, rows) if grid.labelled else set()
        notes = [NOTE] if any(name.startswith(("p (Holm)", OVER_FACES)) for name in rows[0]) else []
        notes += thin_note(grid) if notes else []
        notes += [_BOLD_NOTE if title == _MAIN else _BOLD_IN_SHORT] if bold else []
        notes += [f"Never bold, for lack of seeds: {', '.join(grid.unranked)}."] if bold and grid.unranked else []
        notes += [f"{line[0].upper()}{line[1:]}." for line in grid.seeds_note]
        notes += [f"{COLLAPSE_NOTE}."] if any(COLLAPSE_MARK in cell for row in rows for cell in row) else []
        if title == _MAIN:
            rows, kept, heads = for_paper(rows, columns)
            bold, notes = (
                {(i, kept.index(j)) for i, j in bold if j in kept},
                [*filter(None, [heads]), *notes, *left_out],
            )
        caption = f"{title}: {grid.title}." + (f" In %. {over_seeds(grid.runs)}" if bold else "")
        label = f"{grid.folder}-{slug(title)}"
        write_text(folder / f"{slug(title)}.tex", latex_table(rows, caption, label, bold, notes))


def write_latex_over_targets(grids: Sequence[Grid], folder: Path) -> None:
    """Writes a file for each table over several pairs, in the form of the paper's Table 1.

    Args:
        grids: all grids of the report.
        folder: to write to.

    Raises:
        UserError: a file can't be written.
    """
    for title, metric, several in sets_over_targets(grids):
        rows, bold = over_targets(several, metric), set[tuple[int, int]]()
        for grid, name in zip(several, columns(several), strict=True):
            best, j = {(m, shown_loss(m, loss)) for m, loss in best_cells(grid, metric)}, rows[0].index(name)
            bold |= {(i, j) for i, row in enumerate(rows[1:], 1) if (row[0], row[1]) in best}
        bold |= _highest(rows)
        notes = [f"{OVER_TARGETS_NOTE}.", f"{_BOLD_IN_SHORT} Of the means, only the highest."]
        caption = f"{title}. {over_seeds([run for grid in several for run in grid.runs])}"
        name = table_file(title)
        write_text(folder / f"{name}.tex", latex_table(rows, caption, f"targets-{name}", bold, notes))


def latex_table(rows: Rows, caption: str, label: str, bold: Places = (), notes: Collection[str] = ()) -> str:
    """A table environment in booktabs style; consecutive rows with the same name show it once.

    One with many columns is as wide as the page, also where a paper has two columns of text.

    Args:
        rows: the first one is the header.
        caption: above the table.
        label: after ``tab:``.
        bold: the cells to set in bold.
        notes: lines below the table.
    """
    head, *body = rows
    texts = [[_cell(cell, (i, j) in bold) for j, cell in enumerate(row)] for i, row in enumerate(rows)]
    groups = len({row[0] for row in body}) < len(body)
    lines = [" & ".join(texts[0]) + r" \\", r"\midrule"]
    for i, row in enumerate(body, 1):
        same = groups and i > 1 and row[0] == rows[i - 1][0]
        lines += [r"\addlinespace"] if groups and i > 1 and not same else []
        lines.append(" & ".join(["" if same else texts[i][0], *texts[i][1:]]) + r" \\")
    kinds = "".join("l" if j == 0 or _wordy([row[j] for row in body]) else "r" for j in range(len(head)))
    tabular = "\n".join([rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"])
    below = "".join(f"\n\n\\smallskip\n{{\\footnotesize\\raggedright {escape(note)}\\par}}" for note in notes)
    kind = "table*" if len(head) > _WIDE else "table"
    top = f"\\begin{{{kind}}}\n\\centering\n\\small\n" + f"\\caption{{{escape(caption)}}}\n\\label{{tab:{label}}}\n"
    return f"% needs \\usepackage{{booktabs,graphicx}}\n{top}{_FITTED}\n{tabular}}}{below}\n\\end{{{kind}}}\n"


def escape(text: str) -> str:
    """A text with LaTeX's special characters escaped; letters of other scripts stay, for engines that know them."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _cell(text: str, bold: bool) -> str:
    """A cell's LaTeX; a hyphen before a number becomes a minus sign."""
    shown = re.sub(r"(?<![\w.])-(?=\d)", "$-$", escape(text))
    return rf"\textbf{{{shown}}}" if bold else shown


def _highest(rows: Rows) -> set[tuple[int, int]]:
    """The cells with the highest value of the last column, of rows with the usual seeds."""
    usual = {i: row for i, row in enumerate(rows) if i and not any("(seed" in cell for cell in row[2:])}
    values = {i: float(row[-1].partition(" ")[0]) for i, row in usual.items() if row[-1] not in ("", "–")}
    return {(i, len(rows[0]) - 1) for i, value in values.items() if value == max(values.values())}


def _wordy(column: Collection[str]) -> bool:
    return any(cell and cell[0].isalpha() for cell in column)


def _best(grid: Grid, title: str, rows: Rows) -> set[tuple[int, int]]:
    """The cells with the best values, and with values that may be equal to them."""
    if title in _ACROSS:
        best = {(m, UNTRAINED if shown_loss(m, k) == NO_LOSS else k) for m, k in best_cells(grid, _ACROSS[title])}
        body = enumerate(rows[1:], 1)
        return {(i, j) for i, row in body for j, loss in enumerate(rows[0]) if (row[0], loss) in best}
    if title != _MAIN:
        return set()
    places = set()
    for metric, name in TESTED.items():
        if name not in rows[0]:  # it would repeat mean recall
            continue
        best = {(m, shown_loss(m, loss)) for m, loss in best_cells(grid, metric)}
        cells = [(row[0], row[1].removesuffix(f" {COLLAPSE_MARK}")) for row in rows]
        places |= {(i, rows[0].index(name)) for i, cell in enumerate(cells) if i and cell in best}
    return places
