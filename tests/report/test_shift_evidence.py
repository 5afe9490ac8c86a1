"""What a label-shift page says of chance, of its draws, and of how its runs were made."""

import csv
import io
import re

import pytest
from matplotlib.figure import Figure
from records import write
from test_shift import record

from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.shift import lines_from_records
from pa_difc.report.shift_figures import draw_scores
from pa_difc.report.shift_lead import lead
from pa_difc.report.shift_page import write_shift_report
from pa_difc.report.shift_statistics import over_base
from pa_difc.report.shift_tables import evidence_table, gains_table, statistics_csv, table, to_csv


def sweep(*cells, alpha=0.3, **more):
    """Records of cells, each a loss and its recalls in %, one for each draw."""
    return [record(loss, alpha, i, recall / 100, **more) for loss, recalls in cells for i, recall in enumerate(recalls)]


#: Differences of 2, 3 and 7 points: t = 4 / √(7 / 3); with 2 degrees of freedom p = 1 − t / √(t² + 2) = 0.120.
UNCLEAR = sweep(("ce", (30, 10, 50)), ("difc", (32, 13, 57)))
#: 5, 5.1 and 4.9 points: t = 5 / √(0.01 / 3) = 86.6.
CLEAR = sweep(("ce", (30, 10, 50)), ("difc", (35, 15.1, 54.9)))


def test_differences_have_an_interval_and_a_p_paired_by_draw():
    _, row = evidence_table(lines_from_records(UNCLEAR), "macro_recall")
    # 4.303 √(7 / 3) = 6.6, with the 97.5 % quantile of t with 2 degrees of freedom
    assert row == ["dann + difc", "α = 0.3", "+4.0", "-2.6 to +10.6", "0.120", "0.120", "3"]


def test_a_p_is_corrected_for_all_comparisons_of_the_page_by_its_metric():
    records = UNCLEAR + sweep(("ce", (30, 10, 50)), ("difc", (35, 15.1, 54.9)), ("di", (31, 12, 53)), alpha=3.0)
    found = over_base(lines_from_records(records), "macro_recall")
    raw = {(d.line.loss, d.alpha): d.p for d in found}
    assert raw["difc", 3.0] < raw["di", 3.0] < raw["difc", 0.3]  # 86.6, then 2 / √(1 / 3), then 4 / √(7 / 3)
    holm = {(d.line.loss, d.alpha): d.holm_p for d in found}
    assert holm["difc", 3.0] == pytest.approx(3 * raw["difc", 3.0])
    assert holm["di", 3.0] == pytest.approx(2 * raw["di", 3.0])
    assert holm["difc", 0.3] == pytest.approx(holm["di", 3.0])  # never below an earlier one: 0.120 < 2 · 0.074
    _, *rows = gains_table(lines_from_records(records), "macro_recall")
    assert [row[3:] for row in rows if row[1] == "difc"] == [["+5.0 ± 0.1 *", "+4.0 ± 2.6"]]  # one mark


def test_the_mark_goes_by_the_corrected_p():
    cells = ("ce", (30, 10, 50)), ("difc", (33.268, 15, 56.732))  # t = 5: p = 1 − 5 / √27 = 0.038
    _, once = gains_table(lines_from_records(sweep(*cells)), "macro_recall")
    _, twice = gains_table(lines_from_records(sweep(*cells) + sweep(*cells, alpha=3.0)), "macro_recall")
    assert once[3:] == ["+5.0 ± 1.7 *"] and twice[3:] == ["+5.0 ± 1.7", "+5.0 ± 1.7"]


def test_the_csv_of_tests_is_in_shares():
    rows = list(csv.DictReader(io.StringIO(statistics_csv(lines_from_records(UNCLEAR)))))
    (row,) = [row for row in rows if row["metric"] == "macro_recall"]
    assert [round(float(row[k]), 3) for k in ("difference", "low", "high", "p")] == [0.04, -0.026, 0.106, 0.12]


def test_the_first_sentence_says_that_a_winner_is_within_noise():
    said = lead(lines_from_records(UNCLEAR))
    first = "dann + difc has the highest mean recall, 34.0 ± 22.1 % over 3 draws. But it cannot be told from dann + ce."
    assert f"{first} That is +4.0 ± 2.6 points over" in said and said.endswith("(p = 0.120, p = 0.120 by Holm).")


def test_the_first_sentence_names_those_that_cannot_be_told_from_the_best():
    said = lead(lines_from_records(CLEAR + sweep(("di", (34, 15, 54)))))
    assert "% over 3 draws. It cannot be told from 1 of the 2 others. " in said  # 1.0, 0.1 and 0.9 points below
    assert said.endswith("Not told from it: dann + di.")
    assert "% over 3 draws. A paired test tells it from dann + ce." in lead(lines_from_records(CLEAR))


def test_the_notes_name_all_of_many_that_cannot_be_told_from_the_best(tmp_path):
    near = [(f"near{i}", (34 - i, 15, 54)) for i in range(5)]
    records = CLEAR + sweep(*near)
    said = lead(lines_from_records(records))
    assert "from 5 of the 6 others. " in said
    assert said.endswith(" Not told from it: dann + near0, dann + near1, dann + near2 and 2 more.")
    write_shift_report(records, tmp_path)
    assert (
        "cannot be told by mean recall from dann + near0, dann + near1, dann + near2, dann + near3 and dann + near4"
        in ((tmp_path / "label_shift.md").read_text())
    )


@pytest.mark.parametrize(("draws", "number"), [(1, "One draw"), (2, "Two draws")])
def test_fewer_than_three_draws_tell_nothing(draws, number, tmp_path):
    records = [one for one in CLEAR if one["settings"]["run"]["seed"] < draws]
    assert f"{number} cannot tell it from the others: that takes three or more" in lead(lines_from_records(records))
    text = write_shift_report(records, tmp_path).read_text()
    assert "tests of these differences" not in text and " *<" not in text


def test_a_cell_with_fewer_draws_is_never_the_best():
    records = [*CLEAR, record("di", 0.3, 2, 0.90)]  # the draw on which all score highest
    assert "dann + difc has the highest mean recall" in lead(lines_from_records(records))


def test_equal_differences_in_all_draws_are_no_evidence():
    records = sweep(("ce", (30, 10, 50)), ("difc", (32, 12, 52)))
    _, row = evidence_table(lines_from_records(records + sweep(("di", (32, 13, 57)))), "macro_recall")[:2]
    assert row[2:] == ["+2.0", "–", "–", "–", "3"]
    assert "% over 3 draws. But it cannot be told from dann + ce." in lead(lines_from_records(records))


def test_equal_scores_in_all_draws_count_as_a_comparison():
    records = sweep(("ce", (30, 10, 50)), ("di", (30, 10, 50)), ("difc", (35, 15.1, 54.9)))
    equal, clear = over_base(lines_from_records(records), "macro_recall")
    assert (equal.line.loss, equal.p, equal.holm_p) == ("di", 1, 1)
    assert clear.holm_p == pytest.approx(2 * clear.p)


def test_numbers_over_fewer_draws_than_the_rest_say_over_how_many():
    lines = lines_from_records([*sweep(("ce", (30, 40)), ("difc", (35, 45, 55))), record("di", 0.3, 0, 0.33)])
    assert [row[3] for row in table(lines, "macro_recall")[1:]] == [
        "35.0 ± 7.1 (draws 0, 1)", "45.0 ± 10.0", "33.0 (draw 0)",
    ]  # fmt: skip
    assert [row[3] for row in gains_table(lines, "macro_recall")[1:]] == ["+5.0 ± 0.0 (draws 0, 1)", "+3.0 (draw 0)"]
    said = lead(lines)
    assert "the highest mean recall of the cells with draws 0, 1, 2, 45.0 ± 10.0 % over 3 draws." in said
    assert "That is +5.0 ± 0.0 (draws 0, 1) points over the same method" in said


def test_bars_are_standard_deviations_over_draws():
    lines, ax = lines_from_records(UNCLEAR), Figure().subplots()
    draw_scores(ax, lines, "macro_recall", lines)
    ((_, low), (_, high)), *_ = ax.containers[0].lines[2][0].get_segments()
    assert (low, high) == (pytest.approx(10), pytest.approx(50))  # 30 ± 20
    assert ax.get_ylim()[0] < 10 and ax.get_ylim()[1] > 34 + 22.1
    x = [container.lines[0].get_xdata()[0] for container in ax.containers]
    assert x[0] != x[1]  # no bar hides another


def lacking(records, draw, *classes):
    """The records, in which a draw has no test face of some classes."""
    for one in records:
        if one["settings"]["run"]["seed"] == draw:
            for scores in (one["scores"]["target"],):
                scores["recall"] = [None if k in classes else v for k, v in enumerate(scores["recall"])]
                scores["confusion"] = [[0] * 7 if k in classes else [30] * 7 for k in range(7)]
    return records


def test_the_page_says_over_how_many_classes_mean_recall_is_taken(tmp_path):
    records = lacking(sweep(("ce", (30, 10, 50)), ("difc", (32, 13, 57))), 1, 1, 2, 5)
    text = write_shift_report(records, tmp_path).read_text()
    assert "Mean recall is over the classes of a draw&#x27;s test faces: 7, but 4 in draw 1 at α = 0.3." in text
    markdown = (tmp_path / "label_shift.md").read_text()
    assert "| α = 0.3 | 0 | 56 | 7 | 0 |  |" in markdown and "| 840 | 4 | 4 | fear, disgust, anger |" in markdown
    rows = csv.DictReader(io.StringIO(to_csv(lines_from_records(records))))
    assert {(row["draw"], row["classes"]) for row in rows} == {("0", "7"), ("1", "4"), ("2", "7")}
    assert "all 7 in every draw" in write_shift_report(UNCLEAR, tmp_path / "whole").read_text()


def test_the_page_says_that_a_metric_leaves_out_draws(tmp_path):
    records = sweep(("ce", (30, 10, 50)), ("difc", (32, 13, 57)))
    for one in records:
        one["scores"]["target"]["macro_recall_20"] = None if one["settings"]["run"]["seed"] == 1 else 0.4
    said = "Mean recall of classes with 20 faces leaves out draws in which fewer than two classes"
    assert said in write_shift_report(records, tmp_path).read_text()
    assert said not in write_shift_report(UNCLEAR, tmp_path / "none").read_text()


def test_the_page_says_how_its_runs_were_made_and_how_to_repeat_them(tmp_path):
    command = "pa-difc shift --losses ce difc --draws 3"
    records = sweep(("ce", (30, 10, 50)), ("difc", (32, 13, 57)), command=command, finished="2026-11-26T21:00")
    for one in records:
        one["data"]["target"]["features_of"] = "f0"
    page = write_shift_report(records, tmp_path)
    for text in (page.read_text(), (tmp_path / "label_shift.md").read_text()):
        for fact in ("6 runs", "backbone small", "frozen features", "8 epochs", "learning rate 0.02", "pa-difc 0.2.0"):
            assert fact in text, fact
        assert "2026-11-26" in text and "Frozen features are of one network" in text
        assert text.count(command) == 1 and "pa-difc compare" not in text  # no command trains a row on every shift


def test_latex_has_the_tables_of_a_sweep_too(tmp_path):
    for one in CLEAR:
        write(tmp_path, one)
    _, page = write_grid_report(tmp_path, tmp_path / "out", latex=True)
    tables = {path.stem: path.read_text() for path in (page.parent / "tables").glob("*.tex")}
    assert {"mean-recall", "mean-recall-tests-of-these-differences", "classes-in-each-draw", "accuracy"} <= set(tables)
    assert r"\textbf{35.0 $\pm$ 19.9}" in tables["mean-recall"] and r"\textbf{30" not in tables["mean-recall"]
    write_shift_report(UNCLEAR, tmp_path / "unclear", latex=True)
    unclear = (tmp_path / "unclear" / "tables" / "mean-recall.tex").read_text()
    assert r"\textbf{34.0" in unclear and r"\textbf{30.0" in unclear  # neither can be told from the other
    assert re.search(r"\$\\alpha\$ = 0\.3", tables["mean-recall"]) and "over 3 draws" in tables["mean-recall"]
    assert "paired by draw" in tables["mean-recall-tests-of-these-differences"]


def test_words_on_the_page_are_explained(tmp_path):
    records = sweep(("ce", (30, 10, 50))) + sweep(("difc", (32, 13, 57)), unadjusted=0.3, refused="collapsed")
    for one in records:
        one["settings"]["run"]["prior_correction"] = "bbse"
    text = re.sub(r"<span class='flag'>(.*?)</span>", r"\1", write_shift_report(records, tmp_path).read_text())
    assert "adjusted: predictions are re-weighted" in text and "--prior-correction bbse" in text
    assert "Runs not adjusted: the estimate was unusable" in text and "pseudo-balanced:" not in text
    assert "refused" not in text and ">target<" not in text and ">plain<" not in text
    plain = write_shift_report(UNCLEAR, tmp_path / "none").read_text()
    assert "not adjusted" not in plain and "Corrections" not in plain


def numbered(rows, column=3):
    return {tuple(row[:3]): row[column] for row in rows}


def test_differences_over_other_draws_name_them_wherever_they_stand(tmp_path):
    records = sweep(("ce", (30, 10, 50)), ("difc", (31, 12, 53)), ("di", (31, 12)))
    lines = lines_from_records(records)
    gains = numbered(gains_table(lines, "macro_recall"))
    assert gains["dann", "difc", "none"] == "+2.0 ± 1.0"
    assert gains["dann", "di", "none"] == "+1.5 ± 0.7 (draws 0, 1)"  # as difc on these
    assert [row[-1] for row in evidence_table(lines, "macro_recall")[1:]] == ["3", "2 (draws 0, 1)"]
    page = write_shift_report(records, tmp_path, latex=True).read_text()
    texts = [page, (tmp_path / "label_shift.md").read_text(), *(p.read_text() for p in tmp_path.rglob("mean-rec*.tex"))]
    assert len(texts) == 5 and all("(draws 0, 1)" in text for text in texts)
    assert "compare them on these draws alone" in page
    assert "compare them" not in write_shift_report(UNCLEAR, tmp_path / "alike").read_text()


def test_as_many_draws_are_not_the_same_draws():
    def over(loss, recalls):
        return [record(loss, 0.3, draw, recall / 100) for draw, recall in recalls.items()]

    lines = lines_from_records(over("ce", {0: 30, 1: 10, 2: 20}) + over("difc", {1: 16, 2: 26, 3: 99}))
    assert numbered(table(lines, "macro_recall")[1:]) == {
        ("dann", "ce", "none"): "20.0 ± 10.0 (draws 0, 1, 2)",
        ("dann", "difc", "none"): "47.0 ± 45.3 (draws 1, 2, 3)",
    }
    assert gains_table(lines, "macro_recall")[1][3] == "+6.0 ± 0.0 (draws 1, 2)"
    assert "dann + difc has the highest mean recall of the cells with draws 1, 2, 21.0 ± 7.1 % over 2" in lead(lines)
    lines = lines_from_records(over("ce", {0: 30, 1: 10, 2: 20}) + over("difc", {1: 9, 2: 19, 3: 99}))
    assert "dann + ce has the highest mean recall" in lead(lines)  # on the draws that both have


def test_a_draw_names_its_seed_where_that_is_another_number():
    records = sweep(("ce", (30, 10)), ("di", (31,)))
    for one in records:
        one["settings"]["run"]["seed"] += 5
    rows = numbered(table(lines_from_records(records), "macro_recall"))
    assert rows["dann", "di", "none"] == "31.0 (draw 0 with seed 5)"


def test_figures_ring_points_over_fewer_draws(tmp_path):
    whole = UNCLEAR + sweep(("ce", (30, 10, 50)), ("difc", (32, 13, 57)), alpha=3.0)
    lines = lines_from_records([*whole, *sweep(("di", (30, 11)), alpha=3.0), *sweep(("di", (31, 14, 50)))])
    ax = Figure().subplots()
    draw_scores(ax, lines, "macro_recall", lines)
    rings = [y for line in ax.lines if line.get_markerfacecolor() == "none" for y in line.get_ydata()]
    assert rings == [pytest.approx(20.5)]
    records = [*whole, *sweep(("di", (30, 11)), alpha=3.0)]
    assert "Ringed: over fewer draws" in write_shift_report(records, tmp_path).read_text()
    assert "Ringed" not in write_shift_report(whole, tmp_path / "whole").read_text()


def test_a_figure_of_single_draws_has_no_bars_to_explain(tmp_path):
    adjusted = [record("difc", alpha, 0, 0.5, unadjusted=0.4) for alpha in (3.0, 0.3)]
    records = [*sweep(("ce", (30, 10))), *sweep(("ce", (30, 10)), alpha=3.0), *adjusted]
    text = write_shift_report(records, tmp_path).read_text()
    captions = re.findall(r"<figure.*?</figure>", text, re.S)
    assert ["Bars" in caption for caption in captions[:2]] == [True, False]  # no correction, adjusted


def test_corrections_with_the_same_scores_are_one_row_and_one_comparison(tmp_path):
    same = sweep(("difc", (32, 13, 57)), sampler="pseudo_balanced")
    other = sweep(("difc", (32, 13, 56)), sampler="pseudo_balanced")
    assert len(over_base(lines_from_records(UNCLEAR + other), "macro_recall")) == 2
    lines = lines_from_records(UNCLEAR + same)
    (only,) = over_base(lines, "macro_recall")
    assert only.holm_p == only.p
    names = [tuple(row[:3]) for row in table(lines, "macro_recall")[1:]]
    assert names == [("dann", "ce", "none"), ("dann", "difc", "none or pseudo-balanced")]
    text = write_shift_report(UNCLEAR + same, tmp_path).read_text()
    assert "all of them gave the same scores in every run" in text and "pseudo-balanced: target batches" in text
    assert "A row of several" not in write_shift_report(UNCLEAR + other, tmp_path / "other").read_text()


def test_runs_alike_at_one_severity_count_as_one_comparison_there():
    def both(recalls, adjusted, alpha):
        pairs = enumerate(zip(recalls, adjusted, strict=True))
        return [record("difc", alpha, i, b / 100, unadjusted=a / 100) for i, (a, b) in pairs]

    kept = both((32, 13, 57), (32, 13, 57), 0.3)  # no estimate could be used
    records = [*UNCLEAR[:3], *sweep(("ce", (30, 10, 50)), alpha=3.0), *kept, *both((35, 15.1, 54.9), (31, 12, 53), 3.0)]
    found = over_base(lines_from_records(records), "macro_recall")
    assert len(found) == 4  # of which three differ
    assert min(d.holm_p for d in found) == pytest.approx(3 * min(d.p for d in found))
