"""The page of a label-shift sweep says what its records say."""

import csv
import io
import re

import pytest

from pa_difc.__main__ import main
from pa_difc.report.shift import gains_table, lines_from_records, table, to_csv, write_shift_report
from pa_difc.util.errors import UserError


def record(loss, alpha, draw, recall, sampler="shuffled", unadjusted=None, refused=None):
    def score(value):
        return {"accuracy": value / 2, "macro_recall": value}

    adjusted = unadjusted is not None
    return {
        "config": {"method": "dann", "loss": loss, "target_sampler": sampler, "target_shift": alpha, "seed": draw},
        "scores": {"target": score(recall)} | ({"target_unadjusted": score(unadjusted)} if adjusted else {}),
        "model": {"adjustment": {"refused": refused} if adjusted else None},
        "data": {"source": {"name": "a"}, "target": {"name": "b"}},
    }


RECORDS = [
    record("ce", None, 0, 0.40),
    record("ce", 0.3, 0, 0.30),
    record("ce", 0.3, 1, 0.10),
    record("difc", 0.3, 0, 0.50, unadjusted=0.34),
    record("difc", 0.3, 1, 0.20, unadjusted=0.16, refused="collapsed"),
    record("difc", 0.3, 1, 0.12, sampler="pseudo_balanced"),
]


def test_an_adjusted_run_gives_two_lines_and_refusals_are_counted():
    head, *rows = table(lines_from_records(RECORDS), "macro_recall")
    assert head == ["method", "loss", "target", "no shift", "α = 0.3", "refused"]
    assert rows == [
        ["dann", "ce", "plain", "40.0", "20.0 ± 14.1", ""],
        ["dann", "difc", "plain", "", "25.0 ± 12.7", ""],
        ["dann", "difc", "adjusted", "", "35.0 ± 21.2", "1"],
        ["dann", "difc", "pseudo-balanced", "", "12.0", ""],
    ]


def test_gains_are_paired_by_draw():
    _, *rows = gains_table(lines_from_records(RECORDS), "macro_recall")
    assert [row[4] for row in rows] == ["+5.0 ± 1.4", "+15.0 ± 7.1", "+2.0"]  # 34 − 30 and 16 − 10; 50 − 30, 20 − 10


def test_the_csv_holds_every_draw():
    rows = list(csv.DictReader(io.StringIO(to_csv(lines_from_records(RECORDS)))))
    assert len(rows) == 8
    last = [r for r in rows if (r["loss"], r["target"], r["draw"]) == ("difc", "adjusted", "1")]
    assert last[0]["alpha"] == "0.3" and float(last[0]["macro_recall"]) == 0.2


def test_the_page_stands_alone(tmp_path):
    text = write_shift_report(RECORDS, tmp_path).read_text()
    assert not re.search(r"(src|href)=['\"]http", text) and text.count("<svg") == 6
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 6
    assert "## Mean recall, gained over cross-entropy" in (tmp_path / "label_shift.md").read_text()


def test_a_sweep_end_to_end_and_again(data_root, tmp_path, capsys):
    flags = [
        "--source",
        "folder:bright",
        "--target",
        "folder:dim",
        "--data-root",
        str(data_root),
        "--features",
        "frozen",
    ]
    sizes = ["--methods", "source_only", "dann", "--losses", "ce", "difc", "--alphas", "none", "1", "--draws", "2"]
    command = ["shift", *flags, *sizes, "--epochs", "2", "--set", "crop_px=32", "batch_size=16", "--out", str(tmp_path)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "task 4/4: α = 1, draw 1" in out and "gained over the method's plain cross-entropy" in out
    records = sorted((tmp_path / "runs").glob("*/record.json"))
    assert len(records) == 2 * 2 * 2 * 2 * 2  # methods × losses × samplers × α × draws
    times = [r.stat().st_mtime_ns for r in records]
    page = (tmp_path / "label_shift.html").read_text()
    assert main(command) == 0
    assert [r.stat().st_mtime_ns for r in records] == times and (tmp_path / "label_shift.html").read_text() == page


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--alphas", "0"], "--alphas 0: must be"),
        (["--alphas", "little"], "--alphas little"),
        (["--draws", "0"], "--draws 0"),
        (["--target-samplers", "balanced"], "pseudo_balanced"),
    ],
)
def test_values_that_do_not_fit(flags, word, tmp_path):
    with pytest.raises(UserError, match=word):
        main(["shift", *flags, "--out", str(tmp_path)])
