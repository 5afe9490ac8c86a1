"""The best cell is the best on the same seeds; cells that lack some are not ranked, and named."""

import pytest
from records import flat_scores, load_grids, record, write

from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.lead import in_short, not_ranked, sentence
from pa_difc.report.plane import plane_of
from pa_difc.report.statistics import best_cells


def cell(folder, method, loss, values, target="fer2013"):
    for seed, value in values.items():
        scores = dict.fromkeys(("source", "target"), flat_scores(7, value))
        write(folder, record(method, loss, seed, scores=scores, target=target))


def test_a_cell_with_fewer_seeds_is_not_the_best(tmp_path):
    """Its mean is over two seeds that are easy for all: on these it is 2 points below."""
    for method in ("dann", "mcd"):
        cell(tmp_path, method, "ce", {0: 0.50, 1: 0.54, 2: 0.30})
    cell(tmp_path, "mcd", "difc", {0: 0.48, 1: 0.52})
    (grid,) = load_grids(tmp_path)
    assert grid.unranked == ["mcd + difc (has seeds 0, 1)"]
    assert ("mcd", "difc") not in best_cells(grid, "macro_recall")
    for text in (sentence(grid), in_short(grid)):
        assert text.startswith("dann + ce has the highest mean recall on fer2013, 44.7 ± 12.9 %")
        assert "anked" not in text  # which a page says once, beside it
    assert not_ranked(grid) == ["Not ranked, for lack of seeds: mcd + difc (has seeds 0, 1)."]
    plane = plane_of(grid, None)
    assert [p.label for p in plane.points if "highest" in p.label] == [
        f"{method} + ce (highest mean recall)" for method in ("dann", "mcd")
    ]
    assert "mcd + difc (has seeds 0, 1)" in plane.caption
    write_grid_report(tmp_path, tmp_path / "out", latex=True)
    latex = (tmp_path / "out" / "tables" / "methods-and-losses.tex").read_text()
    assert [line.count(r"\textbf") for line in latex.splitlines() if " & difc" in line] == [0]
    assert "Never bold, for lack of seeds: mcd + difc (has seeds 0, 1)." in latex


def test_a_tie_for_the_highest_mean_recall_is_said(tmp_path):
    """The means of 0.41 and 0.49, and of 0.43 and 0.47, are equal."""
    for method, loss, values in (
        ("star", "di", (0.41, 0.42)), ("mcd", "ce", (0.41, 0.49)), ("dann", "di", (0.43, 0.47)),
    ):  # fmt: skip
        cell(tmp_path, method, loss, dict(enumerate(values)))
    (grid,) = load_grids(tmp_path)
    said = "dann + di has the same mean recall."
    for text in (sentence(grid), in_short(grid)):
        assert text.startswith("mcd + ce has the highest mean recall on fer2013, 45.0 ± 5.7 %") and said in text
    assert [(p.method, p.short) for p in plane_of(grid, None).points] == [
        ("star", ""), ("mcd", "highest mean recall"), ("dann", "highest mean recall"),
    ]  # fmt: skip
    for method in ("safn", "cdan"):
        cell(tmp_path, method, "ce", {0: 0.44, 1: 0.46})
    (grid,) = load_grids(tmp_path)
    assert "3 other cells have the same mean recall." in sentence(grid)
    cell(tmp_path, "mdd", "ce", {0: 0.45, 1: 0.4501})
    assert "same mean recall" not in sentence(load_grids(tmp_path)[0])


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        (["difc"], "; no loss gained over cross-entropy there"),
        (["difc", "focal"], "; of its losses with all seeds, none gained over cross-entropy"),
        (["focal"], None),
    ],
)
def test_no_loss_is_said_to_gain_nothing_that_is_not_ranked(tmp_path, losses, said):
    """focal is the best on the seeds that it has."""
    for method in ("dann", "mcd"):
        cell(tmp_path, method, "ce", {0: 0.50, 1: 0.54, 2: 0.30})
    for loss in losses:
        cell(tmp_path, "dann", loss, {0: 0.6, 1: 0.6} if loss == "focal" else {0: 0.4, 1: 0.4, 2: 0.3})
    (grid,) = load_grids(tmp_path)
    text = sentence(grid)
    assert text.startswith("dann + ce has the highest mean recall") and (said in text if said else "gained" not in text)
    assert [line.startswith("Not ranked, for lack of seeds: dann + focal (") for line in not_ranked(grid)] == [True] * (
        "focal" in losses
    )


def test_a_cell_with_more_seeds_is_ranked_by_those_that_the_others_have(tmp_path):
    for method in ("as_is", "dann", "mcd", "cdan"):
        cell(tmp_path, method, "ce", {0: 0.50} if method == "as_is" else {0: 0.55, 1: 0.54})
    cell(tmp_path, "safn", "ce", {0: 0.51, 1: 0.52, 2: 0.99})
    (grid,) = load_grids(tmp_path)
    assert grid.unranked == []
    assert sentence(grid).partition(". ")[0].startswith("Training on toy_studio helped: dann + ce")
    cell(tmp_path, "star", "ce", {0: 0.60, 1: 0.61, 2: 0.01})
    (grid,) = load_grids(tmp_path)
    assert (
        "star + ce has the highest mean recall on fer2013, 60.5 ± 0.7 %, with 60.5 ± 0.7 % accuracy (seeds 0, 1)"
        in (sentence(grid))
    )


def test_the_highest_mean_over_targets_is_of_rows_with_the_usual_seeds(tmp_path):
    for target in ("a", "b"):
        cell(tmp_path, "dann", "ce", {0: 0.5, 1: 0.6}, target), cell(tmp_path, "safn", "ce", {0: 0.4, 1: 0.4}, target)
        cell(tmp_path, "mcd", "ce", {0: 0.9}, target)
    write_grid_report(tmp_path, tmp_path / "out", latex=True)
    latex = (tmp_path / "out" / "tables" / "mean-recall-on-every-target.tex").read_text().splitlines()
    assert {line[:4]: line.count(r"\textbf") for line in latex if " & ce & " in line} == {
        "dann": 3, "safn": 0, "mcd ": 0,
    }  # fmt: skip


def test_the_lead_says_below_where_a_cell_is_worse_than_the_classifier_without_training(tmp_path):
    cell(tmp_path, "as_is", "ce", {0: 0.7}), cell(tmp_path, "mcd", "ce", {0: 0.542})
    (grid,) = load_grids(tmp_path)
    assert "mcd + ce is 15.8 points of mean recall and 15.8 of accuracy below as_is, " in sentence(grid)
    cell(tmp_path / "b", "source_only", "ce", {0: 0.6}), cell(tmp_path / "b", "mcd", "di", {0: 0.7})
    cell(tmp_path / "b", "source_only", "di", {0: 0.8}), cell(tmp_path / "b", "mcd", "ce", {0: 0.9})
    assert "-" not in in_short(load_grids(tmp_path / "b")[0]).replace("source_only", "")
