"""The page of a label-shift sweep says what its records say."""

import csv
import io
import re

import pytest
from records import flat_scores, load_grids, write, write_many_classes
from records import record as any_record

from pa_difc.commands.shift import _show
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.run import all_runs
from pa_difc.report.shift import lines_from_records
from pa_difc.report.shift_page import write_shift_report
from pa_difc.report.shift_tables import gains_table, table, to_csv
from pa_difc.report.sweep import split_sweeps
from pa_difc.util.errors import UserError


def record(loss, alpha, draw, recall, sampler="shuffled", unadjusted=None, refused=None, **more):
    def score(value):
        return flat_scores(7, value) | {"accuracy": value / 2}

    adjusted = unadjusted is not None
    scores = {"source": score(0.5), "target": score(recall)} | (
        {"target_unadjusted": score(unadjusted)} if adjusted else {}
    )
    data = {"target_sampler": sampler, "target_shift": alpha, "shift_draw": 0 if alpha is None else draw}
    model = {"adjustment": {"refused": refused} if adjusted else None}
    prints = ("d0", "d1" if alpha is None else f"α{alpha}, {draw}")  # resampled faces are other data
    return any_record("dann", loss, draw, scores=scores, data=data, model=model, fingerprints=prints, **more)


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
    assert head == ["method", "loss", "correction", "no shift", "α = 0.3", "runs not adjusted"]
    assert rows == [
        ["dann", "ce", "none", "40.0", "20.0 ± 14.1", ""],
        ["dann", "difc", "none", "", "25.0 ± 12.7", ""],
        ["dann", "difc", "adjusted", "", "35.0 ± 21.2", "1"],
        ["dann", "difc", "pseudo-balanced", "", "12.0 (draw 1)", ""],
    ]


def test_gains_are_paired_by_draw():
    head, *rows = gains_table(lines_from_records(RECORDS), "macro_recall")
    assert head[3:] == ["α = 0.3"]  # nothing can be compared without a shift
    assert [row[3] for row in rows] == [
        "+5.0 ± 1.4",
        "+15.0 ± 7.1",
        "+2.0 (draw 1)",
    ]  # 34 − 30 and 16 − 10; 50 − 30, 20 − 10


def test_the_csv_holds_every_draw():
    rows = list(csv.DictReader(io.StringIO(to_csv(lines_from_records(RECORDS)))))
    assert len(rows) == 8
    last = [r for r in rows if (r["loss"], r["correction"], r["draw"]) == ("difc", "adjusted", "1")]
    assert last[0]["alpha"] == "0.3" and float(last[0]["macro_recall"]) == 0.2


def test_the_page_stands_alone(tmp_path):
    text = write_shift_report(RECORDS, tmp_path).read_text()
    assert not re.search(r"(src|href)=['\"]http", text) and text.count("<svg") == 2
    figures = {path.name for path in (tmp_path / "figures").glob("*.svg")}
    assert figures == {"macro_recall-none.svg", "accuracy-none.svg"}  # the others have scores at one α only
    assert "## Mean recall, differences from cross-entropy" in (tmp_path / "label_shift.md").read_text()


def test_shifted_runs_are_in_no_plain_grid_and_unshifted_ones_are_in_both(tmp_path):
    for one in RECORDS:
        write(tmp_path, one)
    write(tmp_path, record("ce", None, 0, 0.77, epochs=40))  # of other epochs: none of the sweep's
    (sweep,), plain = split_sweeps(all_runs(tmp_path).runs)
    assert len(sweep.runs) == len(RECORDS)
    unshifted = [one for one in RECORDS if one["settings"]["data"].get("target_shift") is None]
    assert 0 < len(unshifted) < len(RECORDS) and len(plain) == len(unshifted) + 1
    grids = load_grids(tmp_path)
    assert sorted(len(grid.runs) for grid in grids) == [1, len(unshifted)]
    assert all(run.settings["data"].get("target_shift") is None for grid in grids for run in grid.runs)


def test_the_report_of_a_sweep_shows_alpha_across_and_lists_it_at_the_top(tmp_path):
    for one in RECORDS:
        write(tmp_path, one)
    overview, page, plain = write_grid_report(tmp_path, tmp_path / "out")
    assert plain.name == "report.html" and "no shift" not in plain.read_text()
    assert page.name == "label_shift.html" and "α = 0.3" in page.read_text() and "no shift" in page.read_text()
    text = overview.read_text()
    assert "under label shift" in text and "At α = 0.3, dann + difc (adjusted) has the highest mean recall" in text
    assert page.relative_to(tmp_path / "out").as_posix() in text

    write_many_classes(tmp_path, 3, losses=("ce",))
    overview, *pages = write_grid_report(tmp_path, tmp_path / "out")
    assert [p.name for p in pages] == ["label_shift.html", "report.html", "report.html"]
    assert "highest mean recall" in overview.read_text()


def test_two_sweeps_are_never_one(tmp_path):
    for epochs in (8, 40):
        for one in (record("ce", None, 0, 0.4, epochs=epochs), record("ce", 1.0, 0, 0.3, epochs=epochs)):
            write(tmp_path, one)
    sweeps, plain = split_sweeps(all_runs(tmp_path).runs)
    assert [len(sweep.runs) for sweep in sweeps] == [2, 2] and len(plain) == 2
    assert [list(sweep.differs) for sweep in sweeps] == [["epochs 8"], ["epochs 40"]]


def test_another_target_sampler_and_other_options_are_other_lines():
    records = [
        record("difc", 1.0, 0, 0.3, loss_options={"max_margin": 0.3}),
        record("difc", 1.0, 0, 0.4, loss_options={"max_margin": 1.0}),
        record("difc", 1.0, 0, 0.5, loss_options={"max_margin": 1.0}, sampler="of_a_plugin"),
        record("difc", 1.0, 0, 0.6, loss_options={"max_margin": 1.0}, sampler="of_a_plugin"),  # again: the newer counts
    ]
    _, *rows = table(lines_from_records(records), "macro_recall")
    assert [row[1:4] for row in rows] == [
        ["difc max_margin=0.3", "none", "30.0"],
        ["difc max_margin=1", "none", "40.0"],
        ["difc max_margin=1", "of_a_plugin", "60.0"],
    ]


def test_a_sweep_end_to_end_and_again(data_root, tmp_path, capsys):
    from pa_difc.commands.parser import main

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
    assert re.search(r"\n28/28  dann · difc · \w+ · α = 1 · seed 1 ", out)
    assert "mean recall, points over the same method with cross-entropy and no correction: mean ± standard" in " ".join(
        out.split()
    )
    records = sorted((tmp_path / "runs").glob("*/record.json"))
    assert len(records) == (2 * 2 * 2 - 1) * 2 * 2  # methods × losses × samplers but source_only + ce, × α × draws
    times = [r.stat().st_mtime_ns for r in records]
    (page,) = tmp_path.rglob("label_shift.html")
    assert page.parent == tmp_path / "folder.bright-to-folder.dim--label-shift"  # no other pair's
    text = page.read_text()
    assert main(command) == 0
    assert [r.stat().st_mtime_ns for r in records] == times and page.read_text() == text


def test_a_second_command_adds_to_the_page_and_each_is_kept(data_root, tmp_path, capsys):
    from pa_difc.commands.parser import main

    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root)]
    small = ["--methods", "source_only", "--epochs", "1", "--out", str(tmp_path)]
    options = ["--set", "crop_px=32", "batch_size=16"]
    sizes = ["--alphas", "3", "1", "--target-samplers", "shuffled"]
    assert main(["shift", *pair, *small, *sizes, "--draws", "2", "--losses", "difc", "ce", *options]) == 0
    (page,) = tmp_path.rglob("label_shift.html")
    capsys.readouterr()
    more = ["--draws", "1", "--losses", "difc", *options, "loss.max_margin=1"]
    assert main(["shift", *pair, *small, *sizes, *more]) == 0
    assert list(tmp_path.rglob("label_shift.html")) == [page]
    out = capsys.readouterr().out
    assert "difc max_margin=0.3" in out and "difc max_margin=1" in out
    first = re.search(r"accuracy [ \d.]+% \(\d+–\d+\)  mean recall [ \d.]+% \(adjusted [\d.]+%[);]", out)
    assert first  # the scores of "none" come first
    rows = list(csv.DictReader(page.with_name("label_shift_statistics.csv").open()))
    assert {row["loss"] for row in rows} == {"ce", "difc max_margin=0.3", "difc max_margin=1"}
    assert len((tmp_path / "command.txt").read_text().splitlines()) == 1  # pytest's own command line, twice
    order = re.findall(r"^\| source_only \| ([^|]+) \| none", page.with_suffix(".md").read_text(), re.M)
    assert order[:3] == ["difc max_margin=0.3", "ce", "difc max_margin=1"]  # as asked
    _, reported, *_ = write_grid_report(tmp_path, tmp_path / "report")
    assert reported.with_suffix(".md").read_text() == page.with_suffix(".md").read_text()
    assert reported.parent.name == page.parent.name


def test_a_sweep_of_other_settings_has_another_page(data_root, tmp_path):
    from pa_difc.commands.parser import main

    flags = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root), "--draws", "1"]
    grid = ["--methods", "source_only", "--losses", "ce", "--alphas", "1", "--out", str(tmp_path)]
    for epochs in ("1", "2"):
        assert main(["shift", *flags, *grid, "--epochs", epochs, "--set", "crop_px=32", "batch_size=16"]) == 0
    pages = {page.parent.name: page.read_text() for page in tmp_path.rglob("label_shift.html")}
    assert len(pages) == 2 and sum("1 epoch ·" in text for text in pages.values()) == 1


def test_rows_follow_what_was_asked_not_what_finished_first():
    records = [record(loss, 1.0, 0, 0.3, finished=f"2026-11-2{i}") for i, loss in enumerate(("difc", "di", "ce"))]
    keys = {one["settings"]["loss"]["name"]: one["key"] for one in records}
    lines = lines_from_records(records, [keys["ce"], keys["difc"]])
    assert [line.loss for line in lines] == ["ce", "difc", "di"]  # one that nobody asked for comes last


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
    from pa_difc.commands.parser import main

    with pytest.raises(UserError, match=word):
        main(["shift", *flags, "--out", str(tmp_path)])


def test_a_table_in_parts_repeats_every_column_that_names_a_row(monkeypatch, capsys):
    """Of a label shift: method, loss and correction."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    records = [record(loss, a, d, 0.3) for loss in ("ce", "difc") for a in (None, 0.1, 0.3, 1.0) for d in (0, 1)]
    _show(lines_from_records([*records, record("difc", 0.3, 0, 0.5, unadjusted=0.34)]))
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("method")]
    assert len(heads) > 2 and all(head.split()[:3] == ["method", "loss", "correction"] for head in heads), heads
