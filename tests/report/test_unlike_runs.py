"""Tables over cells that are not alike: other seeds, other data of a source, workers that finished in another order."""

import csv
import io
import re

import pytest
from records import flat_scores, record, state, write

from pa_difc.report.grid import make_grids, over_seeds
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.over_targets import tables_over_targets
from pa_difc.report.run import all_runs
from pa_difc.report.table import rows_from_records, to_csv, to_markdown, to_terminal
from pa_difc.report.tables import ablation, confusing_recall, confusion_order, methods_by_losses

RECALL = "Mean recall on every target"


def cell(folder, method, loss, values, target="fer2013", **more):
    """Runs of a cell with these recalls by seed."""
    for seed, value in values.items():
        scores = {"source": flat_scores(7, 0.5), "target": flat_scores(7, value)}
        write(folder, record(method, loss, seed, scores=scores, target=target, **more))


def over_targets(folder):
    return tables_over_targets(make_grids(all_runs(folder).runs))


def test_a_cell_with_other_seeds_than_the_rest_says_so_in_every_table(tmp_path):
    """As after a grid that was stopped half way: its two seeds of five are no worse marked than a collapse is."""
    for method, loss in (("dann", "ce"), ("dann", "difc"), ("mcd", "ce")):
        cell(tmp_path, method, loss, {0: 0.5, 1: 0.6, 2: 0.7})
    cell(tmp_path, "mcd", "difc", {0: 0.5, 1: 0.7})
    (grid,) = make_grids(all_runs(tmp_path).runs)
    rows = rows_from_records([run.record for run in grid.runs])
    for text in (to_terminal(rows), to_markdown(rows, "a → b")):
        assert [line for line in text.splitlines() if "(seeds 0, 1)" in line] == [
            line for line in text.splitlines() if re.search(r"difc \(seeds", line)
        ]
        assert text.count("(seeds 0, 1)") == 1
    assert methods_by_losses(grid, "macro_recall") == [
        ["method", "ce", "difc"],
        ["dann", "60.0 ± 10.0", "60.0 ± 10.0"],
        ["mcd", "60.0 ± 10.0", "60.0 ± 14.1 (seeds 0, 1)"],
    ]
    head, *body = ablation(grid)
    assert [row[head.index("seeds")] for row in body] == ["3", "3", "3", "2 (seeds 0, 1)"]
    assert over_seeds(grid.runs).endswith("over seeds 0, 1, 2, of which not every cell has all.")
    for text in (to_terminal(rows), to_markdown(rows, "a → b")):
        assert "seeds 0, 1, 2 unless a cell names others" in text
    assert over_seeds(list(grid.of("dann", "ce").values())).endswith("over seeds 0, 1, 2.")


def test_a_gain_over_fewer_seeds_than_its_row_names_them(tmp_path):
    """Three commands with other seeds, into one folder: seed 0 alone is shared by all."""
    cell(tmp_path, "dann", "ce", {0: 0.50, 1: 0.51, 2: 0.52})
    cell(tmp_path, "dann", "difc", {0: 0.55, 3: 0.4, 4: 0.4, 6: 0.4})
    cell(tmp_path, "dann", "drw", {0: 0.51, 1: 0.53, 5: 0.9})
    (grid,) = make_grids(all_runs(tmp_path).runs)
    rows = rows_from_records([run.record for run in grid.runs])
    for text in (to_terminal(rows), to_markdown(rows, "a → b")):
        assert "+5.0 (seed 0)" in text and "+1.5 ± 0.7 (seeds 0, 1)" in text
        assert "seeds 0, 3, 4, 6 unless a cell names others" in text and "drw (seeds 0, 1, 5)" in text
    read = csv.DictReader(io.StringIO(to_csv(rows)))
    assert [row["macro_recall_vs_ce_seeds"] for row in read] == ["", "0", "0 1"]
    write_grid_report(tmp_path, tmp_path / "out", latex=True)
    assert "Seeds 0, 3, 4, 6 unless a cell names others." in (tmp_path / "out" / "report.md").read_text()
    latex = (tmp_path / "out" / "tables" / "methods-and-losses.tex").read_text()
    assert "Seeds 0, 3, 4, 6 unless a cell names others." in latex and "+5.0 (seed 0)" in latex


def test_as_many_but_other_seeds_are_named_too(tmp_path):
    cell(tmp_path, "dann", "ce", {0: 0.5})
    cell(tmp_path, "mcd", "ce", {0: 0.5})
    cell(tmp_path, "mcd", "difc", {7: 0.5})
    (grid,) = make_grids(all_runs(tmp_path).runs)
    assert "difc (seed 7)" in to_terminal(rows_from_records([run.record for run in grid.runs]))
    assert methods_by_losses(grid, "accuracy")[2] == ["mcd", "50.0", "50.0 (seed 7)"]


def test_the_one_run_of_a_classifier_without_training_stands_for_every_seed(tmp_path):
    cell(tmp_path, "as_is", "ce", {0: 0.5})
    cell(tmp_path, "mcd", "ce", {1: 0.5, 2: 0.6})
    (grid,) = make_grids(all_runs(tmp_path).runs)
    assert "(seed" not in to_terminal(rows_from_records([run.record for run in grid.runs]))
    said = over_seeds(grid.runs)
    assert said == "Mean and standard deviation over seeds 1, 2. as_is is deterministic: one run."


def test_no_mean_is_taken_over_targets_with_other_seeds(tmp_path):
    for target in ("fer2013", "jaffe"):
        cell(tmp_path, "dann", "ce", {0: 0.5, 1: 0.7}, target)
    cell(tmp_path, "mcd", "ce", {0: 0.5, 1: 0.7}, "fer2013")
    cell(tmp_path, "mcd", "ce", {0: 0.9}, "jaffe")
    assert over_targets(tmp_path)[RECALL] == [
        ["method", "loss", "fer2013", "jaffe", "mean"],
        ["dann", "ce", "60.0 ± 14.1", "60.0 ± 14.1", "60.0 ± 14.1"],
        ["mcd", "ce", "60.0 ± 14.1", "90.0 (seed 0)", ""],
    ]


def of_source(fingerprint):
    """The sides of a record whose source has this fingerprint."""

    def sides(target, counts=(10,) * 7):
        both = {"train_counts": list(counts), "test_counts": [2] * 7, "transductive": False}
        return {
            "source": {"name": "folder:mine", **both, "train_fingerprint": fingerprint, "test_fingerprint": "s"},
            "target": {"name": target, **both, "train_fingerprint": "t", "test_fingerprint": target},
        }

    return sides


@pytest.mark.parametrize("frozen", [False, True])
def test_no_mean_is_taken_over_two_states_of_one_source(frozen, tmp_path):
    """A face was added to the source, and one target was trained again: the other's column is of the old source."""
    old, new = of_source("s0"), of_source("s1")
    made = [("jaffe", old, 1, 0.9), ("fer2013", old, 2, 0.5), ("fer2013", new, 3, 0.6), ("sfew", new, 4, 0.8)]
    for target, sides, day, value in made:
        scores = {"source": flat_scores(7, 0.5), "target": flat_scores(7, value)}
        counts = (10,) * 7 if sides is old else (11, *(10,) * 6)
        one = record("dann", "ce", scores=scores, source="folder:mine", target=target, finished=f"2026-01-0{day}",
                     fingerprints=(sides is old, target))  # fmt: skip
        one["data"]["source"] = sides(target, counts)["source"] | ({"features_of": f"{day}"} if frozen else {})
        write(tmp_path, one)
    assert over_targets(tmp_path)[RECALL] == [
        ["method", "loss", "fer2013", "sfew", "mean"], ["dann", "ce", "60.0", "80.0", "70.0"],
    ]  # fmt: skip


def test_one_source_of_many_targets_goes_together(tmp_path):
    for i, target in enumerate(("jaffe", "fer2013")):
        one = record("dann", "ce", source="folder:mine", target=target, fingerprints=("s0", target))
        one["data"]["source"] = of_source("s0")(target)["source"] | {"features_of": None}
        one["finished"] = f"2026-01-0{i + 1}"
        write(tmp_path, one)
    assert over_targets(tmp_path)[RECALL][0] == ["method", "loss", "jaffe", "fer2013", "mean"]


@pytest.mark.parametrize("first", [0, 1])
def test_what_is_shown_does_not_depend_on_which_worker_finished_first(first, tmp_path):
    """Two seeds of DIFC, whose confusions differ: the first seed is shown and named, or each has its own."""
    confusion = {0: [7.0, 6, 5, 4, 3, 2, 1], 1: [1.0, 2, 3, 4, 5, 6, 7]}
    for place, seed in enumerate((first, 1 - first)):
        for loss in ("ce", "difc"):
            history = [state([0.1] * 7, confusion[seed])] if loss == "difc" else []
            write(tmp_path, record("mcd", loss, seed, history=history, finished=f"2026-01-0{place + 1}"))
    (grid,) = make_grids(all_runs(tmp_path).runs)
    assert confusion_order(grid)[1][:3] == ["mcd (seed 0)", "surprise", "fear"]
    assert [row[1] for row in confusing_recall(grid)[1:]] == [
        "most confused (3 of each seed's own)", "others (4 of each seed's own)",
    ]  # fmt: skip
    assert list(grid.of("mcd", "difc")) == [0, 1]


@pytest.mark.parametrize(
    "options", [({"lr": 0.1}, {"lr": 0.1000000001}), ({"name": "a/b"}, {"name": "a_b"}),
                ({"name": "x" * 90 + "y"}, {"name": "x" * 90 + "z"})],
)  # fmt: skip
def test_no_table_of_several_targets_is_lost_to_one_whose_title_reads_alike(options, tmp_path):
    """Two rates that print the same, two names that a file can't tell apart, two that differ behind the 80th letter."""
    for value, optimiser in zip((0.4, 0.6), options, strict=True):
        for target in ("fer2013", "jaffe"):
            cell(
                tmp_path, "dann", "ce", {0: value}, target, optimiser=optimiser, finished=f"2026-01-{10 * value:02.0f}"
            )
    write_grid_report(tmp_path, tmp_path / "out", latex=True)
    for end in ("csv", "tex"):
        texts = [path.read_text() for path in (tmp_path / "out" / "tables").glob(f"mean-recall*.{end}")]
        assert len(texts) == 2 and {value for value in ("40.0", "60.0") for text in texts if value in text} == {
            "40.0", "60.0",
        }  # fmt: skip


def test_recall_of_confused_classes_names_its_seeds_if_the_row_has_others(tmp_path):
    write(tmp_path, record("mcd", "ce", 5))
    for seed in (5, 6):
        write(tmp_path, record("mcd", "difc", seed, history=[state([0.1] * 7, [7.0, 6, 5, 4, 3, 2, 1])]))
    (grid,) = make_grids(all_runs(tmp_path).runs)
    assert confusing_recall(grid)[1][1] == "most confused (surprise, fear, disgust) (seed 5)"


def test_a_mean_over_targets_names_its_seeds_where_they_are_not_the_usual_ones(tmp_path):
    for target in ("jaffe", "fer2013"):
        cell(tmp_path, "dann", "ce", {0: 0.4, 1: 0.5}, target=target)
        cell(tmp_path, "mcd", "ce", {0: 0.6}, target=target)
        cell(tmp_path, "as_is", "ce", {0: 0.3}, target=target)
    means = {row[0]: row[-1] for row in over_targets(tmp_path)[RECALL][1:]}
    assert means == {"dann": "45.0 ± 7.1", "mcd": "60.0 (seed 0)", "as_is": "30.0"}
