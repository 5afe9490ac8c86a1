"""An overview has its results first, in short, and a report's progress moves with each file."""

import re

import pytest
from records import flat_scores, load_grids, record, write

from pa_difc.report.drawing import Figure
from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.lead import in_short


def cells(folder, target="fer2013", seeds=3):
    for method, loss, value in (("as_is", "ce", 0.4), ("mcd", "ce", 0.45), ("mcd", "difc", 0.6)):
        for seed in range(1 if method == "as_is" else seeds):
            scores = dict.fromkeys(("source", "target"), flat_scores(7, value + 0.01 * seed))
            write(folder, record(method, loss, seed, scores=scores, target=target))


def test_notes_stand_after_all_results(tmp_path):
    cells(tmp_path, "a"), cells(tmp_path, "b")
    write_grid_report(tmp_path, tmp_path / "out")
    html, markdown = ((tmp_path / "out" / name).read_text() for name in ("report.html", "report.md"))
    assert html.rindex("</table>") < html.index("class='notes'")
    note = markdown.index("Naming the best cell reads test labels")
    assert max(m.start() for m in re.finditer(r"^\|", markdown, re.MULTILINE)) < note


def test_an_overview_s_lead_is_short(tmp_path):
    cells(tmp_path, "a"), cells(tmp_path, "b")
    write_grid_report(tmp_path, tmp_path / "out")
    for lead in re.findall("<p class='lead'>(.*?)</p>", (tmp_path / "out" / "report.html").read_text()):
        assert len(lead) < 200 and "interval" not in lead and lead.startswith("mcd + difc has the highest mean recall")


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        (
            1,
            "60.0 %: +15.0 points over ce; +20.0 points over as_is. One seed: ",
        ),
        (
            2,
            "60.5 ± 0.7 %: +15.0 points over ce; +20.5 points over as_is. Two ",
        ),
        (
            3,
            "61.0 ± 1.0 %: +15.0 points over ce; +21.0 points over as_is.",
        ),
    ],
)
def test_gains_are_over_cross_entropy_and_over_the_classifier_without_training(tmp_path, seeds, text):
    cells(tmp_path, seeds=seeds)
    assert in_short(load_grids(tmp_path)[0]).startswith(f"mcd + difc has the highest mean recall on fer2013, {text}")


def test_progress_moves_with_each_file(tmp_path):
    seen, figure = [], Figure("t", lambda ax: None)
    figure.write(tmp_path / "t", ("svg", "pdf", "png"), lambda: seen.append(len(list(tmp_path.iterdir()))))
    assert seen == [0, 1, 2, 3]  # the figure for the page, and each file
