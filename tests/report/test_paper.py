"""The main table in LaTeX: as wide as a page, under short heads, with the columns that a paper has space for."""

import re

import pytest
from records import flat_scores, record, write

from pa_difc.commands.parser import main
from pa_difc.commands.report import COLUMNS as FLAGS
from pa_difc.report.paper import COLUMNS
from pa_difc.util.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    for method, loss, value in (("as_is", "ce", 0.4), ("mcd", "ce", 0.5), ("mcd", "difc", 0.6)):
        for seed in range(1 if method == "as_is" else 3):
            scores = dict.fromkeys(("source", "target"), flat_scores(7, value + 0.01 * seed**2))
            write(folder, record(method, loss, seed, scores=scores))
    return folder


def table(folder, out, *more):
    assert main(["report", str(folder), "--out", str(out), "--latex", *more]) == 0
    return (out / "tables" / "methods-and-losses.tex").read_text()


def heads(latex):
    return [cell.strip() for cell in re.search(r"\\toprule\n(.*?) \\\\", latex)[1].split("&")]


def test_chosen_columns_stand_in_the_order_given_with_their_bold_values(folder, tmp_path):
    latex = table(folder, tmp_path, "--columns", "recall", "accuracy", "recall")
    assert heads(latex) == ["method", "loss", "Recall", "Acc."] and r"\begin{table}" in latex
    (best,) = (line for line in latex.splitlines() if "& difc &" in line)
    assert best.count(r"\textbf{61.7 $\pm$ 2.1}") == 2
    assert "Recall: mean recall; Acc.: accuracy." in latex and latex.count("{tabular}{llrr}") == 1


def test_all_columns_are_as_wide_as_the_page_under_short_heads(folder, tmp_path):
    latex = table(folder, tmp_path)
    assert r"\begin{table*}" in latex and r"\end{table*}" in latex
    assert len(heads(latex)) > 8 and max(map(len, heads(latex))) <= len(r"Recall $\geq$ 20")
    assert "recall vs" not in " ".join(heads(latex)) and r"as\_is: agrees with as\_is" in latex


def test_columns_are_for_latex(folder, tmp_path):
    assert tuple(COLUMNS) == FLAGS
    with pytest.raises(UserError, match="--columns: chooses columns of tables in LaTeX; give --latex too"):
        main(["report", str(folder), "--out", str(tmp_path), "--columns", "recall"])
