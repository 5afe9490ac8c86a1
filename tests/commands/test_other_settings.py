"""Runs of other settings in one folder are other tables, and the report says what differs."""

import re

import pytest
from made import class_folders

from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN


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


def test_another_option_is_another_row(home, capsys):
    compare("--epochs", "1")
    compare("--epochs", "1", "--set", "max_margin=1.5")
    assert main(["report", "runs"]) == 0
    page = (home / "runs" / "report" / "report.html").read_text()
    assert "max_margin=1.5" in page and "<h2>" not in page.partition("<table>")[0]
    assert page.count("difc max_margin=1.5") >= 2
