"""The p of docs/results.md are those of the scores in docs/results/*.csv, with Holm's correction over each grid."""

import csv
from pathlib import Path

import pytest

from pa_difc.report.compared import p_text
from pa_difc.report.statistics import holm_ps

DOCS = Path(__file__).parent.parent / "docs"
#: Each grid's scores, the words before its table, and the column of p, which may follow a difference and a comma.
TABLES = [
    ("frozen-mux2fer", "muxspace → fer2013, imbalance", "macro_recall", -1),
    ("finetuned-mux2fer", "--losses ce drw margin difc --seeds 0 1 2 --epochs 2", "macro_recall", -1),
    ("mux2fer", "--epochs 4 \\", "macro_recall", -1),
    ("fer2mux", "fer2013 → muxspace, the same command", "macro_recall", -1),
    ("expression-grid-mux2fer", "With `pool=grid`", "macro_recall", 4),
    ("expression-grid-fer2mux", "With `pool=grid`", "macro_recall_20", -1),
    ("expression-average-mux2fer", "With `pool=average`", "macro_recall", 4),
    ("expression-average-fer2mux", "With `pool=average`", "macro_recall_20", -1),
]


def corrected(name, metric):
    """Holm's p of each method and loss over cross-entropy, corrected for all comparisons with simpler losses."""
    cells = {}
    for row in csv.DictReader((DOCS / "results" / f"{name}.csv").open()):
        cells.setdefault((row["method"], row["loss"]), {})[row["seed"]] = float(row[metric])
    simpler = {"ce": (), "drw": ("ce",), "di": ("ce", "drw")}
    gains = {}
    for (method, loss), scores in cells.items():
        for base in simpler.get(loss, ("ce", "drw", "di")):
            if (other := cells.get((method, base))) is not None:
                gains[method, loss, base] = [scores[seed] - other[seed] for seed in scores.keys() & other.keys()]
    ps = dict(zip(gains, holm_ps(list(gains.values())), strict=True))
    return {(method, loss): p for (method, loss, base), p in ps.items() if base == "ce"}


def rows_after(words):
    """The cells of the first table of differences below some words of the page."""
    _, text = (DOCS / "results.md").read_text().split(words, 1)
    lines = iter(text[text.index("| method") :].splitlines())
    head, _ = next(lines), next(lines)
    assert "p (Holm)" in head
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize(("name", "words", "metric", "column"), TABLES)
def test_p_are_corrected_for_all_comparisons_of_their_grid(name, words, metric, column):
    found, method = corrected(name, metric), ""
    shown = {}
    for cells in rows_after(words):
        method = cells[0] or method
        if cells[column]:
            shown[method, cells[1].removesuffix(" †")] = cells[column].split(", ")[-1]
    assert shown == {cell: p_text(p) for cell, p in found.items()}
