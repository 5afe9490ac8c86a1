"""A grid's report from records written by hand, whose numbers were worked out on paper."""

import csv
import json
import re
from statistics import mean

import numpy as np
import pytest
from records import load_grids, outputs, record, state, write, write_many_classes

from pa_difc.report.grid_report import write_grid_report
from pa_difc.report.lead import sentence
from pa_difc.report.tables import (
    ablation,
    changed_predictions,
    confusing_recall,
    confusion_order,
    imbalance,
    methods_by_losses,
)
from pa_difc.util.errors import UserError
from pa_difc.util.numbers import with_minus

#: Order of confusion: sad, disgust, fear first; "inf" is a class never predicted, None one that is not known.
CONFUSION = [1.0, 3.0, 4.0, 0.5, "inf", 2.0, 1.5]
LABELS = np.array([0, 1, 2, 3, 4, 5, 6, 0])
#: CE says 0 to all; DIFC puts rows 1 and 2 right, row 0 wrong, row 3 from wrong to other wrong.
SAID = {"ce": [0, 0, 0, 0, 0, 0, 0, 0], "difc": [1, 1, 2, 5, 0, 0, 0, 0]}
RECALL = {"ce": [0.6, 0.2, 0.1, 0.9, 0.3, 0.5, 0.7], "difc": [0.5, 0.4, 0.3, 0.9, 0.5, 0.5, 0.6]}


COMMAND = "python recipes/compare.py --losses ce difc"


def write_run(folder, method, loss, seed, *, recall=None, command=COMMAND, **more):
    """A run whose outputs are those of ``SAID`` and whose recalls are those of ``RECALL``."""
    said = SAID.get(loss, SAID["ce"])
    recall = [r + 0.01 * seed for r in (recall or RECALL.get(loss, RECALL["ce"]))]
    confusion = np.zeros((7, 7), dtype=int)
    np.add.at(confusion, (LABELS, said), 1)
    scores = {
        **dict.fromkeys(("accuracy", "macro_recall", "macro_f1"), mean(recall)),
        "recall": recall,
        "collapsed": False,
        "confusion": confusion.tolist(),
    }
    phases = [("di", [None] * 7, False), ("difc", CONFUSION, True)]
    states = [state([0.1] * 7, c, p, r) for p, c, r in phases]
    counts = {"train_counts": [10, 2, 5, 40, 10, 10, 20], "test_counts": [2, 1, 1, 1, 1, 1, 1]}
    both = {"target": scores, "source": scores}
    history = states if loss == "difc" else [{}, {}]
    return write(
        folder,
        record(method, loss, seed, scores=both, history=history, counts=counts, command=command, **more),
        outputs(LABELS, np.eye(7)[said], seed),
    )


@pytest.fixture
def folder(tmp_path):
    for seed in (0, 1, 2):
        write_run(tmp_path, "mcd", "ce", seed)
        write_run(tmp_path, "mcd", "difc", seed, recall=[r + (0, 0.02, -0.02)[seed] for r in RECALL["difc"]])
    write_run(tmp_path, "dann", "ce", 0)
    return tmp_path


def grid_of(folder):
    (grid,) = load_grids(folder)
    return grid


def test_the_ablation_is_paired_by_seed(folder):
    head, *rows = ablation(grid_of(folder))
    assert head[-1] == "seeds"  # no published numbers for this pair
    (difc,) = [r for r in rows if r[:2] == ["mcd", "difc"]]
    # Mean recalls: CE 33/70 + 0.01 s; DIFC 37/70 + 0.01 s + (0, 0.02, −0.02). Differences 400/70 + (0, 2, −2) points:
    # t = (40/7) / (2 / √3) = 4.949, p = 0.0385 with two degrees of freedom.
    assert difc[3] == f"{100 * (3.7 / 7 + 0.01):.1f} ± 1.7"  # sd of (0, 3, 0) is √3
    assert "≥ 20 faces" not in head  # no class has so many
    assert difc[5:] == ["+5.7", "0.038", "0.038", "3"]  # one comparison: nothing to correct
    (dann,) = [r for r in rows if r[0] == "dann"]
    assert dann[3] == f"{100 * 3.3 / 7:.1f}" and dann[-1] == "1 (seed 0)"  # the others have three


def test_records_from_before_there_was_recall_over_frequent_classes_have_it_all_the_same(folder):
    """20 faces of surprise, 15 found; 21 of happy, 7 found; of the others fewer."""
    path = next(folder.rglob("*dann-ce-0/record.json"))
    old = json.loads(path.read_text())
    confusion = np.zeros((7, 7), dtype=int)
    confusion[0, :2], confusion[3, 2:4], confusion[5, 5] = (15, 5), (14, 7), 19
    for scores in old["scores"].values():
        scores.pop("macro_recall_20", None)
        scores["confusion"] = confusion.tolist()
    path.write_text(json.dumps(old))
    head, *rows = ablation(grid_of(folder))
    (dann,) = [row for row in rows if row[0] == "dann"]
    assert dann[head.index("≥ 20 faces")] == f"{100 * (15 / 20 + 7 / 21) / 2:.1f}"


def test_the_recall_of_one_class_with_20_faces_is_no_mean_over_such_classes(folder):
    """91 faces, of which 28 are happy; records that were written with happy's recall as such a mean don't show it."""
    confusion = np.diag([13, 13, 10, 28, 9, 9, 9])
    for path in folder.rglob("record.json"):
        one = json.loads(path.read_text())
        one["scores"]["target"] |= {"confusion": confusion.tolist(), "macro_recall_20": 0.786}
        path.write_text(json.dumps(one))
    write_grid_report(folder, folder / "out", latex=True)
    texts = [file.read_text() for file in (folder / "out").rglob("*.*") if file.suffix in (".md", ".csv", ".tex")]
    assert len(texts) > 9 and not any("20 faces" in text or "78.6" in text or "0.786" in text for text in texts)


def test_methods_by_losses_leaves_missing_cells_empty(folder):
    assert methods_by_losses(grid_of(folder), "accuracy")[0] == ["method", "ce", "difc"]
    empty = {row[0]: row[2] == "" for row in methods_by_losses(grid_of(folder), "accuracy")[1:]}
    assert empty == {"mcd": False, "dann": True}


def test_the_most_confused_come_first_and_one_never_predicted_before_all(folder):
    _, row = confusion_order(grid_of(folder))
    assert row == ["mcd", "sad", "disgust", "fear", "anger", "neutral", "surprise", "happy"]


def test_recall_of_confused_classes_rises_by_what_it_did(folder):
    _, confused, others = confusing_recall(grid_of(folder))
    # sad, disgust, fear: CE (.3 + .1 + .2) / 3, DIFC (.5 + .3 + .4) / 3: 20 points; the seeds' offsets cancel.
    assert confused[0] == "mcd" and "sad, disgust, fear" in confused[1] and confused[-1] == "+20.0"
    assert others[-1] == "-5.0"  # surprise −.1, neutral −.1, happy and anger 0: −.2 / 4


def test_changed_predictions_are_counted_by_what_they_became(folder):
    head, row = changed_predictions(grid_of(folder))
    assert row == ["mcd", "24", "12", "6", "3", "3"]  # three seeds of 8 faces
    assert head[1] == "faces × seeds"


def test_imbalance_is_over_the_classes_present(folder):
    assert imbalance(grid_of(folder))[1][-1] == "20 : 1"


def test_published_numbers_stand_apart_and_only_for_the_paper_s_source(tmp_path):
    write_run(tmp_path, "mcd", "difc", 0, source="raf_db")
    head, row = ablation(grid_of(tmp_path))
    assert head[-1] == "published accuracy" and row[-1] == "58.06"
    write_grid_report(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "class='published'>58.06" in page and "for reference only" in page


def test_an_older_run_of_the_same_cell_is_left_out_and_counted(folder):
    write_run(folder, "dann", "ce", 0, finished="2025-01-01", recall=[0.0] * 7)
    grid = grid_of(folder)
    assert grid.replaced == 1 and grid.of("dann", "ce")[0].scores["macro_recall"] > 0.4
    write_grid_report(folder, folder / "out")
    assert "1 older run of the same cells left out" in (folder / "out" / "report.md").read_text()


def test_the_sentence_says_who_gained_and_that_one_seed_is_none(folder, tmp_path_factory):
    text = sentence(grid_of(folder))
    assert text.startswith(
        "mcd + difc has the highest mean recall on fer2013, 53.9 ± 1.7 %, with 53.9 ± 1.7 % accuracy"
    )
    # The confusion matrices are those of SAID: CE is right on 2 of 8 faces, DIFC on rows 1, 2 and 7.
    assert "over cross-entropy +5.7 points of mean recall (p = 0.038, p = 0.038 by Holm, 3 seeds; " in text
    assert "and +5.7 of accuracy (1 more of 8 faces is right)" in text and "surprise loses most (-10)" in text
    # One more of 8 faces may be none of others, whatever p is.
    assert text.endswith("The simplest loss that is not clearly worse is ce.")
    other = tmp_path_factory.mktemp("one")
    write_run(other, "mcd", "ce", 0)
    assert sentence(grid_of(other)).endswith("One seed: an anecdote, not a result.")


def test_the_sentence_compares_with_cross_entropy_only_where_there_is_some(tmp_path):
    write_run(tmp_path, "mcd", "difc", 0)
    write_run(tmp_path, "dann", "ce", 0)
    assert "there is no run of mcd with cross-entropy to compare it with" in sentence(grid_of(tmp_path))


def test_page_markdown_tables_and_figures_say_the_same(folder):
    (page,) = write_grid_report(folder, folder / "out")
    text = page.read_text()
    assert not re.search(r"(src|href)=.https?:", text)  # nothing needs a network
    assert text.count("<figure>") + 1 == len(list((folder / "out" / "figures").glob("*.svg"))) == 14  # and all cells
    assert COMMAND in text
    with (folder / "out" / "tables" / "methods-and-losses.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == ablation(grid_of(folder))
    markdown, cells = (folder / "out" / "report.md").read_text(), re.sub("<wbr>|</?span[^>]*>", "", text)
    for row in rows:
        assert "| " + " | ".join(map(with_minus, row)) + " |" in markdown
        assert all(f">{with_minus(cell)}</t" in cells for cell in row)
    before = text
    write_grid_report(folder, folder / "out")
    assert page.read_text() == before  # the same records give the same bytes


def test_every_run_stands_in_a_csv_with_its_key(folder):
    write_grid_report(folder, folder / "out")
    with (folder / "out" / "tables" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(grid_of(folder).runs)
    (row,) = [r for r in rows if (r["method"], r["loss"], r["seed"]) == ("mcd", "difc", "1")]
    assert float(row["recall_fear"]) == pytest.approx(0.43)  # 0.4 + 0.01 · seed + 0.02
    assert float(row["macro_recall"]) == pytest.approx(3.7 / 7 + 0.03, abs=1e-6)  # as in table.csv
    assert row["key"] == "mcd-difc-1"


def test_two_pairs_are_two_pages_and_an_overview(folder):
    write_run(folder, "mcd", "ce", 0, source="other", finished="2026-01-02")
    overview, *pages = write_grid_report(folder, folder / "out")
    assert overview == folder / "out" / "report.html"
    assert [p.parent.name for p in pages] == ["toy-studio-to-fer2013", "other-to-fer2013"]


@pytest.mark.parametrize(("text", "words"), [("{", "record.json"), ("[]", "must be an object"), ("{}", "is missing")])
def test_a_damaged_record_is_named(folder, text, words, capsys):
    next(folder.rglob("record.json")).write_text(text)
    write_grid_report(folder, folder / "out")
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("left out: ") and words in said


def test_a_run_with_damaged_outputs_is_named_and_left_out(folder, capsys):
    bad = next(folder.rglob("*mcd-ce-0/outputs.npz"))
    bad.write_bytes(b"PK\x03\x04 no")
    (page,) = write_grid_report(folder, folder / "out")
    text, said = page.with_name("report.md").read_text(), " ".join(capsys.readouterr().out.split())
    assert f"left out: cannot read {bad}: not a whole" in said and str(bad) in text
    with (folder / "out" / "tables" / "runs.csv").open() as file:
        kept = {row["key"] for row in csv.DictReader(file)}
    assert "mcd-ce-0" not in kept and "mcd-ce-1" in kept


def test_of_several_damaged_runs_alone_the_first_is_named_and_the_others_counted(folder):
    for file in (damaged := sorted(folder.rglob("outputs.npz"))):
        file.write_bytes(b"PK\x03\x04 no")
    words = rf"cannot read {damaged[0]}: .* \({len(damaged) - 1} more like this\)$"
    with pytest.raises(UserError, match=words):
        write_grid_report(folder, folder / "out")


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(UserError, match=r"no record\.json below it"):
        write_grid_report(tmp_path, tmp_path / "out")


def test_names_are_escaped(tmp_path):
    write_run(tmp_path, "mcd", "ce", 0, source="folder:<b>&")
    write_grid_report(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "folder:&lt;b&gt;&amp;" in page and "<b>&" not in page


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_nothing_of_somebody_else_s_is_written_over(name, tmp_path, capsys):
    from pa_difc.commands.parser import main

    write_many_classes(tmp_path / "runs", 3, losses=("ce",))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name} was not written by this command"):
        main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / name).read_text() == "mine"
    for _ in range(2):  # our own is
        assert main(["report", str(tmp_path / "runs"), "--out", str(tmp_path / "ours")]) == 0

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "table.md").write_text("mine")
    with pytest.raises(UserError, match=r"table.md was not written by this command"):
        main(["compare", "--out", str(tmp_path / "mine")])


def test_a_page_says_how_when_and_by_which_code_its_runs_were_trained(tmp_path):
    """The untrained classifier ran for no epoch, and does not count."""
    write(tmp_path, record("as_is", "ce", epochs=8, finished="2025-12-31T00:00:00"))
    for seed, day in enumerate(("2026-01-30T23:00:00", "2026-02-01T08:00:00")):
        write(tmp_path, record("mcd", "ce", seed, finished=day, git="54bd4c9a7731f27447"))
    for target in ("fer2013", "sfew"):
        write(tmp_path, record("mcd", "ce", target=target, optimiser={"lr": 0.1}))
    write_grid_report(tmp_path, tmp_path / "out")
    line = (
        "Settings: whole network trained · epochs 8 · optimiser sgd · learning rate 0.02 · pa-difc 0.2.0, "
        "commit 54bd4c9 · finished 2026-01-30 to 2026-02-01"
    )
    pages = [*(tmp_path / "out").glob("*/report.*"), *(tmp_path / "out").glob("report.*")]
    assert len(pages) == 8 and sum(line in page.read_text() for page in pages) == 4  # its page and the overview
    assert sum("learning rate 0.1 · pa-difc 0.2.0 · finished 2026-01-01" in page.read_text() for page in pages) == 6
