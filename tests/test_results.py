"""The p of docs/results.md are those of the scores in docs/results/*.csv, with Holm's correction over each grid."""

import csv
from pathlib import Path

import pytest

from pa_difc.report.compared import p_text
from pa_difc.report.statistics import holm_ps, paired_p, t_interval
from pa_difc.util.numbers import fixed, minus

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


def shift_gains():
    """DIFC's gains of mean recall over cross-entropy in points, without a correction, by method and α."""
    scores, gains = {}, {}
    for row in csv.DictReader((DOCS / "results" / "label-shift-mux2fer.csv").open()):
        if row["target"] == "plain":
            scores[row["method"], row["loss"], row["alpha"], row["draw"]] = 100 * float(row["macro_recall"])
    for (method, loss, alpha, draw), score in scores.items():
        if loss == "difc":
            gains.setdefault((method, alpha), []).append(score - scores[method, "ce", alpha, draw])
    return gains


def test_the_intervals_of_the_label_shift_are_those_of_its_scores():
    gains, text = shift_gains(), (DOCS / "results.md").read_text()
    for method in ("source_only", "dann", "safn", "mcd"):
        cells = []
        for alpha in ("none", "10", "3", "1", "0.3"):
            low, high = t_interval(gains[method, alpha])
            cells.append(f"{minus(fixed(low))} to {minus(fixed(high))}, {p_text(paired_p(gains[method, alpha]))}")
        assert f"| {method} | {' | '.join(cells)} |" in text


def test_the_summary_says_where_the_gain_under_label_shift_may_be_none():
    gains = {cell: found for cell, found in shift_gains().items() if cell[0] != "safn"}
    ps = {cell: paired_p(found) for cell, found in gains.items()}
    severe, others = ([p for (_, a), p in ps.items() if (a == "0.3") is at] for at in (True, False))
    said = " ".join((DOCS / "results.md").read_text().split())
    assert f"p between {p_text(min(severe))} and {p_text(max(severe))})" in said
    assert f"p at most {p_text(max(others))}, uncorrected" in said
