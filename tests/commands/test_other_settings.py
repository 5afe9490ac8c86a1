"""Runs of other settings in one folder are other tables, and the report says what differs."""

import re

import pytest
from made import class_folders

from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN
from pa_difc.report.phases import never_began
from pa_difc.util.errors import UserError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(tmp_path / domain, SEVEN, seed, per_class=8)
    return tmp_path


def compare(*words, out="runs"):
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--out", out]
    grid = ["--methods", "source_only", "dann", "--losses", "ce", "difc"]
    assert main(["compare", *pair, *grid, "--set", "crop_px=32", "batch_size=16", *words]) == 0


def test_other_epochs_are_another_table(home, capsys):
    compare("--epochs", "1")
    compare("--epochs", "8")
    assert main(["report", "runs"]) == 0
    page = (home / "runs" / "report" / "report.html").read_text()
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert [h for h in headings if "epochs 1" in h] and [h for h in headings if "epochs 8" in h]
    assert page.count("<table>") == 2
    for table in re.findall(r"<table>.*?</table>", page):
        assert table.count("<td>") // len(re.findall("<th ", table)) <= 4  # four cells each, none pooled
    markdown = (home / "runs" / "report" / "report.md").read_text()
    assert "epochs 1" in markdown and "epochs 8" in markdown


@pytest.mark.slow
def test_phases_that_never_begin_are_said(home, capsys):
    """With one epoch, class weights and confusion wait for a second one: "difc" is a loss with margins alone."""
    compare("--epochs", "1")
    said = "difc: class weights and confusion begin in epoch 2, but there is only 1 epoch"
    before, table = capsys.readouterr().out.split("method  ")
    assert before.count(said) == table.count(said) == 1  # when more epochs can still be given, and beside the numbers
    assert said in (home / "runs" / "table.md").read_text()
    assert main(["report", "runs"]) == 0
    for page in ("report.md", "report.html"):
        assert (home / "runs" / "report" / page).read_text().count(said) == 1
    compare("--epochs", "2", out="more")
    assert "give more epochs" not in capsys.readouterr().out
    compare("--epochs", "1", "--set", "confusion_epoch=0", out="late")
    assert "difc: class weights begin in epoch 2, but there is only 1 epoch; give" in capsys.readouterr().out
    phases = {
        "reweight_epoch": 4,
        "confusion_epoch": 6,
        "name": "difc",
        "options": {"class_weights": None, "epsilon": 1},
    }
    assert never_began([{"run": {"epochs": 3}, "loss": phases}, {"run": {"epochs": 5}, "loss": phases}]) == [
        "difc: class weights begin in epoch 5 and confusion begins in epoch 7, but there are only 3 epochs; "
        "give more epochs",
        "difc: confusion begins in epoch 7, but there are only 5 epochs; give more epochs",
    ]


def test_a_phase_that_a_loss_does_not_have_is_not_missed(home, capsys):
    """DRW has class weights alone; focal loss neither, and LDAM margins alone."""
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--set", "crop_px=32"]
    grid = ["--methods", "source_only", "--losses", "drw", "focal", "ldam"]
    assert main(["compare", *pair, "--epochs", "1", *grid]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "more epochs" in line]
    assert set(lines) == {"drw: class weights begin in epoch 2, but there is only 1 epoch; give more epochs"}


def test_another_option_is_another_row(home, capsys):
    compare("--epochs", "1")
    compare("--epochs", "1", "--set", "max_margin=1.5")
    assert main(["report", "runs"]) == 0
    page = (home / "runs" / "report" / "report.html").read_text()
    assert "max_margin=1.5" in page and "<h2>" not in page.partition("<table>")[0]
    assert page.count("difc max_margin=1.5") >= 2


def test_one_cell_s_exception_is_not_the_grid_s(home, monkeypatch, capsys):
    from pa_difc import LOSSES
    from pa_difc.losses import LossSpec

    def broken(inputs):
        return lambda logits, labels: {}["nothing here"]

    monkeypatch.setitem(LOSSES, "broken", LossSpec("broken", broken))
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--out", "runs"]
    grid = ["--methods", "source_only", "--losses", "broken", "ce", "--epochs", "1", "--set", "crop_px=32"]
    assert main(["compare", *pair, *grid]) == 1
    said = capsys.readouterr()
    assert "failed: source_only · broken: " in said.err and "nothing here" in said.err
    assert len(list((home / "runs").glob("runs/*/record.json"))) == 1


@pytest.mark.parametrize(("old", "new"), [("--adjust", "--prior-correction"), ("--local-head=ir", "--landmark-branch")])
def test_flags_of_version_0_1_are_told_their_new_names(old, new):
    with pytest.raises(UserError, match=f"is called {new} since version 0.2"):
        main(["compare", old, "x"])


def test_a_grid_of_one_classifier_is_one_table(home, capsys):
    """ldam's own classifier is the one that was asked for: ce has it, too."""
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--out", "runs"]
    grid = ["--methods", "source_only", "--losses", "ce", "ldam", "--epochs", "1"]
    assert main(["compare", *pair, *grid, "--set", "crop_px=32", "classifier=cosine", "scale=30"]) == 0
    assert main(["report", "runs"]) == 0
    page = (home / "runs" / "report" / "report.html").read_text()
    assert page.count(">ldam") >= 1 and "Other runs of this pair" not in page
