"""A label-shift sweep trains a cell with each target sampler only where the sampler can change it."""

import json

import pytest
from made import class_folders

from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN

PAIR = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--epochs", "2"]
SMALL = ["--set", "crop_px=32", "batch_size=16", "prior_correction=none"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("sweep")
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(home / domain, SEVEN, seed, per_class=8)
    return home


@pytest.fixture(autouse=True)
def _here(home, monkeypatch):
    monkeypatch.chdir(home)


def records(out):
    return [json.loads(path.read_text()) for path in out.glob("runs/*/record.json")]


def cells(out):
    return {
        (r["settings"]["method"]["name"], r["settings"]["loss"]["name"], r["settings"]["data"]["target_sampler"])
        for r in records(out)
    }


def test_each_cell_once_for_each_sampler_that_changes_it(home, capsys):
    grid = ["--methods", "source_only", "lpl", "--losses", "ce", "di", "difc", "--alphas", "none", "--draws", "1"]
    assert main(["shift", *PAIR, *grid, *SMALL, "--out", "sweep"]) == 0
    without = {("source_only", "ce"), ("source_only", "di"), ("lpl", "ce"), ("lpl", "di")}
    both = {("source_only", "difc"), ("lpl", "difc")}
    assert cells(home / "sweep") == {(*cell, "shuffled") for cell in without | both} | {
        (*cell, "pseudo_balanced") for cell in both
    }
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if " ce " in line]
    assert ["source_only", "ce", "pseudo-balanced"] not in rows
    page = next((home / "sweep").rglob("label_shift.md")).read_text()
    assert "a cell that does not learn from the target has no such row" in page


@pytest.mark.parametrize("loss", ["ce", "di"])
def test_the_sampler_left_out_gives_the_same_numbers(home, loss):
    grid = ["--methods", "source_only", "--losses", loss, "--out", f"same-{loss}"]
    for sampler in ("shuffled", "pseudo_balanced"):
        assert main(["compare", *PAIR, *grid, "--target-sampler", sampler, *SMALL]) == 0
    first, second = records(home / f"same-{loss}")
    assert first["scores"]["target"] == second["scores"]["target"]
    assert first["settings"]["data"]["target_sampler"] != second["settings"]["data"]["target_sampler"]


def test_a_method_that_learns_from_the_target_is_trained_with_every_sampler_named(home):
    grid = ["--methods", "dann", "--losses", "ce", "--alphas", "none", "--draws", "1"]
    names = ["--target-samplers", "pseudo_balanced", "shuffled"]
    assert main(["shift", *PAIR, *grid, *names, *SMALL, "--out", "dann"]) == 0
    assert cells(home / "dann") == {("dann", "ce", "shuffled"), ("dann", "ce", "pseudo_balanced")}
