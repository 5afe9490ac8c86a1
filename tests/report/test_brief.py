"""A page's lead is short; what it leaves out stands below it."""

import re

import numpy as np
import pytest
from rare import slow
from records import flat_scores, load_grids, outputs, record, write, write_many_classes
from test_shift import record as shifted

from pa_difc.report.brief import MOST_WORDS, split_lead
from pa_difc.report.grid_page import write_grid
from pa_difc.report.selection import select
from pa_difc.report.shift_page import write_shift_report
from pa_difc.report.tables import ablation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:sklearn")


def lead_of(page):
    (found,) = re.findall("<p class='lead'>(.*?)</p>", page.read_text())
    return re.sub("<[^>]+>", "", found)


def test_whole_sentences_are_kept_and_none_is_lost():
    text = "One is here, 0.5 of it. Two has " + 40 * "a word " + "in it. Three is left."
    lead, rest = split_lead(text)
    assert lead == "One is here, 0.5 of it." and f"{lead} {rest}" == text
    assert split_lead("Short. And all.") == ("Short. And all.", "")
    long = "No " + 60 * "word " + "ends."
    assert split_lead(f"{long} More.") == (long, "More.")


@pytest.mark.parametrize("chosen", [False, *slow(True)])
def test_a_grid_s_lead_is_short_and_its_evidence_follows(tmp_path, chosen):
    write_many_classes(tmp_path, 4, methods=("source_only", "mcd", "mcc+mean_teacher"))
    (grid,) = load_grids(tmp_path)
    page = write_grid(grid, tmp_path / "out", None, choice=select(grid) if chosen else None).page
    lead, text = lead_of(page), page.read_text()
    assert len(lead.split()) <= MOST_WORDS == 40 and "interval" not in lead
    (detail,) = re.findall("<details class='detail[^>]*>.*?</details>", text)
    assert "by Holm" in detail and "has the highest mean recall" in detail
    markdown = page.with_suffix(".md").read_text().split("\n\n")
    assert len(markdown[1].split()) <= 40 and "by Holm" in markdown[2]


def test_an_unlabelled_grid_s_lead_is_short(tmp_path):
    labels = np.arange(70) % 7
    for seed, method in enumerate(("as_is", "source_only", "mcc+mean_teacher")):
        probs = np.random.default_rng(seed).dirichlet(np.full(7, 0.3), 70)
        counts = np.bincount(probs.argmax(1), minlength=7).tolist()
        scores = {"source": flat_scores(7, 0.5), "unlabelled_target": {"predicted": counts, "collapsed": False}}
        arrays = outputs(labels, probs, seed) | {"target_labels": np.full(70, -1, np.int8)}
        write(tmp_path, record(method, "ce", scores=scores), arrays)
    (grid,) = load_grids(tmp_path)
    lead = lead_of(write_grid(grid, tmp_path / "out", None).page)
    assert len(lead.split()) <= 40 and "has no labels" in lead


def test_a_sweep_s_lead_is_short(tmp_path):
    records = [
        shifted(loss, 0.3, draw, 0.3 + 0.01 * i + 0.05 * draw)
        for i, loss in enumerate(("ce", "di", "drw", "ldam", "difc"))
        for draw in range(3 if loss != "di" else 2)
    ]
    lead = lead_of(write_shift_report(records, tmp_path))
    assert len(lead.split()) <= 40 and "told from" in lead and "(p" not in lead


def test_without_anything_to_compare_there_are_no_empty_columns_and_no_note_on_them(tmp_path):
    for method, loss in (("mean_teacher", "ce"), ("mcd", "difc")):
        write(tmp_path, record(method, loss, scores=dict.fromkeys(("source", "target"), flat_scores(7, 0.5))))
    (grid,) = load_grids(tmp_path)
    assert ablation(grid)[0] == ["method", "loss", "accuracy", "mean recall", "macro-F1", "seeds"]
    write_grid(grid, tmp_path / "out", None)
    assert "bootstrap" not in (tmp_path / "out" / "report.md").read_text()
    write(tmp_path, record("as_is", "ce", scores=dict.fromkeys(("source", "target"), flat_scores(7, 0.4))))
    write_grid(load_grids(tmp_path)[0], tmp_path / "out", None)
    assert "bootstrap" in (tmp_path / "out" / "report.md").read_text()
