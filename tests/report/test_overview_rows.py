"""Rows of an overview join cells by their options, and stand in the same order in every table."""

import csv
import re

import pytest
from records import flat_scores, load_grids, record, write

from pa_difc.commands.tables import Tables
from pa_difc.report.asked import keep_asked
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.over_targets import over_targets, tables_over_targets

RECALL = "Mean recall on every target"
THIRD, WIDE = {"max_margin": 0.3, "gamma": 0.1}, {"max_margin": 1, "gamma": 0.1}


def run(folder, target, method, loss, value, seed=0, options=None):
    scores = dict.fromkeys(("source", "target"), flat_scores(7, value))
    made = record(method, loss, seed, scores=scores, target=target, loss_options=options)
    made["key"] += f"-{target}-{len(list(folder.rglob('record.json')))}"
    write(folder, made)
    return made


@pytest.fixture
def more_on_one(tmp_path):
    """Two targets, and a further value of an option on the first one."""
    for target in ("a", "b"):
        run(tmp_path, target, "mcd", "ce", 0.4)
        run(tmp_path, target, "mcd", "difc", 0.5, options=THIRD)
    run(tmp_path, "a", "mcd", "difc", 0.8, options=WIDE)
    return tmp_path


def test_a_row_over_targets_is_of_one_set_of_options(more_on_one):
    assert tables_over_targets(load_grids(more_on_one))[RECALL] == [
        ["method", "loss", "a", "b", "mean"],
        ["mcd", "ce", "40.0", "40.0", "40.0"],
        ["mcd", "difc max_margin=0.3", "50.0", "50.0", "50.0"],
        ["mcd", "difc max_margin=1", "80.0", "", ""],
    ]


def test_a_cell_has_one_name_on_all_targets_and_in_all_outputs(more_on_one):
    Tables(more_on_one).keep([])
    write_grid_report(more_on_one, more_on_one / "out", latex=True)
    with (more_on_one / "table.csv").open() as file:
        named = {(row["target"], row["loss"]) for row in csv.DictReader(file)}
    assert named == {
        ("a", "ce"), ("b", "ce"), ("a", "difc max_margin=0.3"), ("b", "difc max_margin=0.3"),
        ("a", "difc max_margin=1"),
    }  # fmt: skip
    texts = [more_on_one / "table.md", more_on_one / "out" / "report.md", more_on_one / "out" / "report.html"]
    texts += (more_on_one / "out" / "tables").glob("*-on-every-target.*")
    assert len(texts) == 7
    for path in texts:
        assert set(re.findall(r"difc(?! max)[^\w,]", re.sub(r"pa.difc|<wbr>|\\", "", _rows_only(path)))) == set(), path


def _rows_only(path):
    """The rows of a file's tables."""
    text = path.read_text()
    return "\n".join(re.findall({".md": r"^\|.*", ".html": r"<td.*"}.get(path.suffix, ".*"), text, re.MULTILINE))


def test_latex_sets_the_best_value_of_each_column_in_bold(more_on_one):
    write_grid_report(more_on_one, more_on_one / "out", latex=True)
    text = (more_on_one / "out" / "tables" / "mean-recall-on-every-target.tex").read_text()
    rows = {line.split(" & ")[1]: line for line in text.splitlines() if " & " in line}
    assert {name: line.count(r"\textbf") for name, line in rows.items() if "difc" in name} == {
        r"difc max\_margin=0.3": 2, r"difc max\_margin=1": 1,
    }  # fmt: skip


def test_values_that_read_alike_are_not_one_row(tmp_path):
    for margin in (0.3, 0.30000001):
        run(tmp_path, "a", "mcd", "difc", margin, options={"max_margin": margin})
    assert load_grids(tmp_path)[0].losses == ["difc max_margin=0.3", "difc max_margin=0.30000001"]


def test_published_numbers_stay_with_a_cell_that_another_target_has_twice(tmp_path):
    for target, options in (("jaffe", THIRD), ("jaffe", WIDE), ("fer2013", THIRD)):
        made = record("mcd", "difc", source="raf_db", target=target, loss_options=options)
        write(tmp_path, made)
    jaffe, fer = load_grids(tmp_path)
    assert fer.published("mcd", "difc max_margin=0.3") == 58.06
    assert jaffe.published("mcd", "difc max_margin=0.3") is None is jaffe.published("mcd", "difc max_margin=1")


def test_the_mean_over_targets_has_the_spread_of_its_seeds(tmp_path):
    for target, values in (("a", (0.4, 0.6)), ("b", (0.8, 0.5))):  # means by seed: 60 and 55
        for seed, value in enumerate(values):
            run(tmp_path, target, "mcd", "ce", value, seed)
    assert over_targets(load_grids(tmp_path), "macro_recall")[1] == [
        "mcd", "ce", "50.0 ± 14.1", "65.0 ± 21.2", "57.5 ± 3.5",
    ]  # fmt: skip


def asked(folder, cells):
    """Runs of a command, finished in the reverse order; kept as asked for in this one."""
    there = {(m["settings"]["method"]["name"], m["settings"]["loss"]["name"], o): m for m, o in folder[1]}
    made = []
    for method, loss, options in cells:
        key = method, loss, str(options)
        if key not in there:
            there[key] = run(folder[0], "a", method, loss, 0.5, options=options)
            folder[1].append((there[key], str(options)))
        made.append(there[key])
    Tables(folder[0]).keep(made)


def test_later_commands_add_to_a_method_s_rows_and_move_none(tmp_path):
    folder = (tmp_path, [])
    asked(folder, [("source_only", "ce", None), ("mcd", "ce", None), ("mcd", "difc", THIRD), ("dann", "ce", None)])
    asked(folder, [("mcc", "ce", None), ("as_is", "ce", None), ("source_only", "ce", None)])
    asked(folder, [("mcc", "difc", WIDE), ("mcd", "difc", WIDE), ("mcd", "di", None)])
    expected = [
        ("source_only", "ce"), ("mcd", "ce"), ("mcd", "difc max_margin=0.3"), ("mcd", "difc max_margin=1"),
        ("mcd", "di"), ("dann", "ce"), ("mcc", "ce"), ("mcc", "difc max_margin=1"), ("as_is", "ce"),
    ]  # fmt: skip
    write_grid_report(tmp_path, tmp_path / "out")
    for path in (tmp_path / "table.csv", tmp_path / "out" / "tables" / "runs.csv"):
        with path.open() as file:
            assert [(row["method"], row["loss"]) for row in csv.DictReader(file)] == expected, path
    shown = [(method, "–" if method == "as_is" else loss) for method, loss in expected]
    for path in (tmp_path / "table.md", tmp_path / "out" / "report.md"):
        rows = [line.strip("| ").split(" | ")[:2] for line in path.read_text().splitlines() if line.startswith("| ")]
        assert [tuple(row) for row in rows if tuple(row) in shown][: len(shown)] == shown, path
    (grid,) = load_grids(tmp_path)
    assert grid.losses == ["ce", "difc max_margin=0.3", "difc max_margin=1", "di"]
    assert grid.methods == ["source_only", "mcd", "dann", "mcc", "as_is"]


def test_a_method_s_rows_are_together_over_targets_too(tmp_path):
    for target, cells in {"a": [("mcd", "ce"), ("dann", "ce")], "b": [("mcd", "ce"), ("mcd", "di")]}.items():
        for method, loss in cells:
            run(tmp_path, target, method, loss, 0.5)
    rows = tables_over_targets(load_grids(tmp_path))[RECALL]
    assert [row[:2] for row in rows[1:]] == [["mcd", "ce"], ["mcd", "di"], ["dann", "ce"]]


def test_a_grid_s_title_is_for_its_own_runs_only(tmp_path):
    entitled = [run(tmp_path, "a", "mcd", loss, 0.5) for loss in ("ce", "di")]
    keep_asked(tmp_path, [], {"Two losses": [made["key"] for made in entitled]})
    Tables(tmp_path).keep([])
    assert (tmp_path / "table.md").read_text().startswith("# Two losses · toy_studio → a\n")
    Tables(tmp_path).keep([run(tmp_path, "a", "dann", "ce", 0.5)])
    with (tmp_path / "table.csv").open() as file:
        titles = {(row["method"], row["loss"]): row["grid"] for row in csv.DictReader(file)}
    assert titles == {("mcd", "ce"): "Two losses", ("mcd", "di"): "Two losses", ("dann", "ce"): ""}
    (page,) = write_grid_report(tmp_path, tmp_path / "out")
    assert "<h1>toy_studio → a</h1>" in page.read_text()
    assert (tmp_path / "table.md").read_text().startswith("# toy_studio → a\n")
