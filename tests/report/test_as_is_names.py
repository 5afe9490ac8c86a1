"""The classifier without training is called as_is: it has no loss, wherever people read its name."""

import re

import numpy as np
import pytest
from records import flat_scores, load_grids, outputs, record, write

from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.interactive import chart
from pa_difc.report.plane import plane_of
from pa_difc.report.table import rows_from_records, to_csv, to_markdown, to_terminal
from pa_difc.report.tables import methods_by_losses
from pa_difc.util.names import cell_name, shown_loss


@pytest.fixture
def made(tmp_path):
    """as_is, the best by far, and two trained cells."""
    rng, labels, found = np.random.default_rng(0), np.arange(70) % 7, []
    for method, loss, value in (("as_is", "ce", 0.8), ("mcd", "ce", 0.4), ("mcd", "difc", 0.5)):
        scores = dict.fromkeys(("source", "target"), flat_scores(7, value))
        found.append(record(method, loss, scores=scores))
        said = np.where(rng.random(70) < value, labels, rng.integers(0, 7, 70))
        write(tmp_path, found[-1], outputs(labels, 0.3 / 7 + 0.7 * np.eye(7)[said]))
    return tmp_path, found


def test_a_page_and_its_files_name_it_without_a_loss(made):
    folder, _ = made
    (page,) = write_grid_report(folder, folder / "out", latex=True)
    for text in (page.read_text(), (folder / "out" / "report.md").read_text()):
        shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        assert "as_is" in shown and not re.search(r"as_is *(\+|·|\|) *ce\b|as_is</td><td>ce", shown)
    assert not list((folder / "out" / "figures").glob("as-is-ce*"))
    latex = (folder / "out" / "tables" / "methods-and-losses.tex").read_text()
    assert re.search(r"as\\_is & -- & .*\\textbf\{80.0\}", latex)  # it is the best, and bold


def test_the_picture_names_it_without_a_loss(made):
    plane = plane_of(load_grids(made[0])[0], None)
    rows = [row for data in chart(plane).to_dict()["datasets"].values() for row in data if row.get("method") == "as_is"]
    assert rows and {row["loss"] for row in rows} == {"–"}
    assert {p.label for p in plane.points if p.method == "as_is"} == {"as_is (highest mean recall)"}


def test_tables_for_people_show_a_dash_and_the_csv_keeps_the_name_for_programs(made):
    rows = rows_from_records(made[1])
    assert "| as_is | – |" in to_markdown(rows, "t") and re.search("as_is +– ", to_terminal(rows))
    assert "as_is,ce," in to_csv(rows)


@pytest.mark.parametrize(
    ("method", "name", "loss"),
    [("as_is", "as_is", "–"), ("as_is scale=2", "as_is scale=2", "–"), ("as_is_not", "as_is_not + ce", "ce")],
)
def test_only_the_classifier_without_training_has_no_loss(method, name, loss):
    assert (cell_name(method, "ce"), shown_loss(method, "ce")) == (name, loss)


def test_its_value_stands_in_no_loss_s_column(made):
    folder, _ = made
    (grid,) = load_grids(folder)
    assert methods_by_losses(grid, "accuracy") == [
        ["method", "no loss", "ce", "difc"], ["as_is", "80.0", "", ""], ["mcd", "", "40.0", "50.0"],
    ]  # fmt: skip
    write_grid_report(folder, folder / "out", latex=True)
    latex = (folder / "out" / "tables" / "accuracy-methods-x-losses.tex").read_text()
    assert r"as\_is & \textbf{80.0} &  &  \\" in latex


def test_without_a_trained_cell_there_is_no_column_of_losses(tmp_path):
    write(tmp_path, record("as_is", "ce", scores=dict.fromkeys(("source", "target"), flat_scores(7, 0.5))))
    write(tmp_path, record("source_free", "di", scores=dict.fromkeys(("source", "target"), flat_scores(7, 0.6))))
    (grid,) = load_grids(tmp_path)
    assert methods_by_losses(grid, "macro_recall")[0] == ["method", "no loss", "di"]
