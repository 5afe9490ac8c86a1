"""A report of a folder writes all that it can: what it can't use is a line."""

import re
import shutil

import numpy as np
import pytest
from records import flat_scores, outputs, record, write

from pa_difc.report import grid_report
from pa_difc.report.grid import make_grids
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.run import all_runs
from pa_difc.report.tables import imbalance
from pa_difc.util.errors import UserError


def runs(folder, target="a"):
    for loss, value in (("ce", 0.4), ("di", 0.5)):
        scores = dict.fromkeys(("source", "target"), flat_scores(7, value))
        write(folder, record("mcd", loss, scores=scores, target=target))


def study(folder):
    """The final runs of a search, which trains with the target's labels taken away."""
    (folder / "after").mkdir(parents=True)
    (folder / "trials.csv").write_text("trial\n0\n")
    (folder / "report.html").write_text("the study's own page")
    counts = {"train_counts": [0] * 7, "test_counts": [2] * 7}
    write(folder / "after", record("mcd", "difc", counts=counts, target="a"))


def test_a_study_below_a_folder_is_left_out_with_a_line_that_names_its_page(tmp_path, capsys):
    runs(tmp_path / "grid", "a"), runs(tmp_path / "grid", "b"), study(tmp_path / "search" / "my-study")
    overview, *pages = write_grid_report(tmp_path, tmp_path / "out")
    assert len(pages) == 2 and not any(
        "difc" in re.sub("pa.difc", "", r.read_text()) for r in tmp_path.glob("out/*.md")
    )
    line = f"left out: {tmp_path / 'search' / 'my-study'}, a search with a page of its own"
    assert line in " ".join(capsys.readouterr().out.split())
    assert line[1:] in overview.read_text()


def test_the_report_of_a_study_names_its_own_page(tmp_path):
    study(tmp_path / "my-study")
    for folder in (tmp_path, tmp_path / "my-study"):
        with pytest.raises(UserError, match=r"those of a search, which has a page of its own: .*my-study/report\.html"):
            write_grid_report(folder, tmp_path / "out")


def test_a_split_without_labels_has_no_ratio_of_its_largest_class(tmp_path):
    counts = {"train_counts": [0] * 7, "test_counts": [3, 1, 0, 0, 0, 0, 0]}
    write(tmp_path, record("mcd", "difc", counts=counts))
    (grid,) = make_grids(all_runs(tmp_path).runs)
    assert [row[-1] for row in imbalance(grid)] == ["largest : smallest", "–", "3 : 1", "–", "3 : 1"]


def test_a_damaged_record_is_a_line(tmp_path, capsys):
    runs(tmp_path)
    bad = write(tmp_path, record("dann", "ce")) / "record.json"
    bad.write_text("{")
    (page,) = write_grid_report(tmp_path, tmp_path / "out")
    assert "di" in page.read_text() and str(bad) in re.sub(r"\n\s*", " ", capsys.readouterr().out)
    for name in ("report.html", "report.md"):  # whoever is sent the page has no terminal
        text = page.with_name(name).read_text()
        assert "Left out: " in text and str(bad) in text
    shutil.rmtree(bad.parent.parent)
    write(tmp_path, record("dann", "ce")).joinpath("record.json").write_text("{")
    with pytest.raises(UserError, match=r"record\.json"):  # nothing else is there
        write_grid_report(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("error", [UserError("outputs are damaged"), KeyError("margins"), ValueError("empty")])
def test_a_page_that_fails_costs_no_other(tmp_path, monkeypatch, capsys, error):
    runs(tmp_path, "a"), runs(tmp_path, "b")
    write_one = grid_report.write_grid

    def failing(grid, *args, **kwargs):
        if grid.target == "a":
            raise error
        return write_one(grid, *args, **kwargs)

    monkeypatch.setattr(grid_report, "write_grid", failing)
    overview, *pages = write_grid_report(tmp_path, tmp_path / "out")
    assert [page.parent.name for page in pages] == ["toy-studio-to-b"]
    said = f"left out: toy_studio → a: {'' if isinstance(error, UserError) else type(error).__name__}"
    assert said in capsys.readouterr().out and said[1:] in overview.read_text()


def test_notes_of_an_overview_are_on_its_tables(tmp_path):
    runs(tmp_path, "a"), runs(tmp_path, "b")
    labels = np.arange(70) % 7
    for path in tmp_path.rglob("record.json"):
        probs = np.random.default_rng(len(str(path))).dirichlet(np.ones(7), len(labels))
        np.savez(path.parent / "outputs.npz", **outputs(labels, probs))
    overview, *_ = write_grid_report(tmp_path, tmp_path / "out")
    assert "←" not in overview.read_text() and "class='notes'" in overview.read_text()


def test_pages_have_minus_signs_and_notes_that_a_phone_folds(tmp_path):
    for loss, value in (("ce", 0.6), ("di", 0.5)):
        scores = dict.fromkeys(("source", "target"), flat_scores(7, value))
        write(tmp_path, record("mcd", loss, scores=scores))
    (page,) = write_grid_report(tmp_path, tmp_path / "out")
    text = page.read_text()
    prose = re.sub("<[^>]*>", "|", re.sub(r"<(script|style|svg).*?</\1>", "", text, flags=re.DOTALL))
    assert "−10.0" in prose and not re.search(r"[|\s(]-\d", prose)
    assert "<details class='fold-narrow' open><summary>How to read it</summary>" in text


def test_a_table_for_a_paper_says_what_is_left_out(tmp_path):
    for loss in ("ce", "difc"):
        write(tmp_path, record("dann", loss, 0))
    bad = write(tmp_path, record("mcd", "ce", 0)) / "record.json"
    bad.write_text("{")
    write_grid_report(tmp_path, tmp_path / "out", latex=True)
    tables = {path.name: path.read_text() for path in (tmp_path / "out" / "tables").glob("*.tex")}
    assert [name for name, text in tables.items() if "Left out: " in text] == ["methods-and-losses.tex"]
    assert "record.json" in tables["methods-and-losses.tex"].partition("Left out: ")[2]


def test_a_page_says_at_its_top_what_its_headline_leaves_out(tmp_path):
    """Not in a note that a phone folds."""
    for loss, seeds in (("ce", (0, 1)), ("difc", (0,))):
        for seed in seeds:
            write(tmp_path, record("dann", loss, seed))
    (write(tmp_path, record("mcd", "ce", 0)) / "record.json").write_text("{")
    (page,) = write_grid_report(tmp_path, tmp_path / "out")
    top = page.read_text().partition("<details")[0]
    gone = "1 damaged run is left out; the notes say which and why."
    for said in ("Not ranked, for lack of seeds: dann + difc (has seed 0).", gone):
        assert f"<p class='limit'>{said}</p>" in top
        assert said in page.with_name("report.md").read_text().partition("\n\n## ")[0]
    write(tmp_path, record("dann", "ce", 0, target="another"))
    overview, *_ = write_grid_report(tmp_path, tmp_path / "out")
    assert f"<p class='limit'>{gone}</p>" in overview.read_text().partition("<h2")[0]


@pytest.mark.parametrize(
    ("counts", "said"), [([0, 0, 9, 0, 0, 0, 0], "Only 1 of 7 classes is"), ([5] * 4 + [0] * 3, "")]
)
def test_a_page_says_at_its_top_that_most_classes_are_not_scored(tmp_path, counts, said):
    for loss in ("ce", "difc"):
        one = record("dann", loss, 0)
        one["data"]["target"] = one["data"]["target"] | {"test_counts": counts}
        write(tmp_path, one)
    (page,) = write_grid_report(tmp_path, tmp_path / "out")
    top = page.read_text().partition("<details")[0]
    assert (f"<p class='limit'>{said} among the test faces: " in top) if said else ("class='limit'" not in top)


def test_each_of_several_pages_says_that_a_damaged_run_is_left_out(tmp_path):
    """Which page it belongs to can't be read."""
    for target in ("a", "b"):
        runs(tmp_path, target)
    (write(tmp_path, record("mcd", "ce", 0)) / "record.json").write_text("{")
    _, *pages = write_grid_report(tmp_path, tmp_path / "out", latex=True)
    for page in pages:
        assert "1 damaged run is left out; the notes say which and why." in page.with_name("report.md").read_text()
        assert "Left out: " in (page.parent / "tables" / "methods-and-losses.tex").read_text()
