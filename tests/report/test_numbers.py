"""A number reads the same wherever it stands: rounded once, from its full value, with halves away from zero."""

import io
import re
import sys

import numpy as np
import pytest
from records import flat_scores, load_grids, record, write

from pa_difc.report.figures import loss_name
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.over_targets import tables_over_targets
from pa_difc.report.table import rows_from_records, to_markdown, to_terminal
from pa_difc.report.tables import ablation, methods_by_losses
from pa_difc.util.numbers import fixed, signed, signed_points, spread

_SIDES = ("source", "target")


@pytest.mark.parametrize(
    ("value", "digits", "text", "with_sign"),
    [
        (55.85, 1, "55.9", "+55.9"),
        (100 * 0.5585, 1, "55.9", "+55.9"),  # 55.849999999999994 in floating point
        (-0.04, 1, "0.0", "0.0"),
        (-0.05, 1, "-0.1", "-0.1"),
        (0.0, 1, "0.0", "0.0"),
        (-21.5, 0, "-22", "-22"),
        (-22.5, 0, "-23", "-23"),
        (21.5, 0, "22", "+22"),
        (22.5, 0, "23", "+23"),
        (-0.3, 0, "0", "0"),
        (1234.5, 0, "1,235", "+1,235"),
        (0.0625, 3, "0.063", "+0.063"),
    ],
)
def test_halves_go_away_from_zero_and_zero_has_no_sign(value, digits, text, with_sign):
    assert (fixed(value, digits), signed(value, digits)) == (text, with_sign)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.048, "-0.05"),
        (0.0994, "+0.10"),
        (0.1, "+0.1"),
        (0.3, "+0.3"),
        (-2.04, "-2.0"),
        (0.004, "0.00"),
        (0.0, "0.0"),
        (1e-12, "0.0"),
        (0.3 - 0.2, "+0.1"),
    ],
)
def test_a_difference_near_zero_has_two_decimals(value, text):
    assert signed_points(value) == text


def test_a_mean_has_a_spread_from_two_values_on():
    assert spread([50.0, 52.0]) == "51.0 ± 1.4" and spread([50.0]) == "50.0"
    assert spread([50.0, float("nan")]) == "–" == spread([])
    assert spread([-1.0, 3.0], signed) == "+1.0 ± 2.8"


def test_one_value_reads_the_same_in_every_table_and_sentence(tmp_path):
    """Seeds whose mean is 55.85 %: as shares their mean is a little more, as percents a little less, or so."""
    shares = [0.558, 0.559]
    for target in ("fer2013", "sfew"):
        for seed, share in enumerate(shares):
            for loss in ("ce", "difc"):
                write(
                    tmp_path,
                    record("dann", loss, seed, target=target, scores=dict.fromkeys(_SIDES, flat_scores(7, share))),
                )
    grids = load_grids(tmp_path)
    rows = rows_from_records([run.record for run in grids[0].runs])
    texts = [to_terminal(rows), to_markdown(rows, "t"), *(str(ablation(g)) for g in grids)]
    texts += [str(methods_by_losses(grids[0], "accuracy")), str(tables_over_targets(grids))]
    write_grid_report(tmp_path, tmp_path / "report", latex=True)
    texts += [file.read_text() for file in (tmp_path / "report").rglob("report.md")]
    texts += [file.read_text() for file in (tmp_path / "report").rglob("accuracy*.tex")]
    assert len(texts) > 9
    for text in texts:
        assert set(re.findall(r"\b55\.\d\b", text)) == {"55.9"}, text


@pytest.mark.parametrize(("faces", "shown"), [(20, False), (19, True)])
def test_recall_of_classes_with_20_faces_is_left_out_where_it_repeats_mean_recall(tmp_path, faces, shown):
    """The last class has as many faces; all others have 25, and one class does not occur."""
    for loss, right in (("ce", 0.5), ("difc", 0.75), ("di", 0.6)):
        confusion = np.diag([25] * 5 + [faces, 0]).tolist()
        scores = flat_scores(7, right) | {"confusion": confusion, "macro_recall_20": right}
        write(tmp_path, record("dann", loss, scores=dict.fromkeys(_SIDES, scores)))
    rows = rows_from_records([run.record for run in load_grids(tmp_path)[0].runs])
    write_grid_report(tmp_path, tmp_path / "report", latex=True)
    page = (tmp_path / "report" / "report.md").read_text()
    assert ("## Mean recall of classes with at least 20 faces" in page) is shown
    for text in (page, to_terminal(rows), to_markdown(rows, "t")):
        assert ("≥ 20 faces" in text) is shown


def test_terms_of_the_training_loss_are_named_in_words():
    names = ("total_loss/total", "total_loss/src_c_loss", "y_loss/src_c_loss0", "z_loss/discrepancy_loss")
    assert [loss_name(name) for name in names] == [
        "total",
        "source classification",
        "step 2: source classification, head 1",
        "step 3: discrepancy",
    ]


def test_people_read_minus_signs_and_programs_hyphens(tmp_path, monkeypatch):
    """In a page, in Markdown and in a terminal that has the sign; commands, dates and ranges keep their hyphens."""
    from pa_difc.report.latex import latex_table
    from pa_difc.report.page import html_page, html_table, markdown_table
    from pa_difc.report.printed import aligned, notes
    from pa_difc.report.table import csv_text
    from pa_difc.util.markdown import write_markdown

    rows = [["cell", "Δ", "interval"], ["source-only-2", "-1.5 ± 0.2", "-2.0 to +0.1"]]
    minus = ("−1.5 ± 0.2", "−2.0 to +0.1")
    prose = "From (-0.3) on 2026-01-02, 1-2 of them; `--seeds -1` too."
    write_markdown(tmp_path / "page.md", f"{prose}\n\n{markdown_table(rows)}\n\n```\nx --lr -0.5\n```\n")
    text = (tmp_path / "page.md").read_text()
    assert "(−0.3) on 2026-01-02, 1-2 of them; `--seeds -1` too." in text and "x --lr -0.5" in text
    shown = "\n".join(aligned(rows)), text, html_page("t", html_table(rows, "t"))
    assert all(part in one and "source-only-2" in one.replace("<wbr>", "") for one in shown for part in minus)
    assert notes(["from -0.3 on"]) == ["from −0.3 on"]
    assert "-1.5" in csv_text(rows) and "−" not in csv_text(rows) + latex_table(rows, "c", "l")
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    assert "-1.5 +/- 0.2" in aligned(rows)[1]
