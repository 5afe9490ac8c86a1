"""recipes/paper.toml, in miniature: the paper's experiment on made-up folders in the layouts of its sets."""

import csv
from pathlib import Path

import numpy as np
import pytest
from made import ROOT
from PIL import Image

from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN
from pa_difc.report.published import published_accuracy
from pa_difc.training.grid_file import read_grid_file

PAPER = ROOT / "recipes" / "paper.toml"
TARGETS = ["jaffe", "sfew", "fer2013", "expw"]
#: What the tests have in the place of the paper's network: 32 px, no points, no file of weights.
SMALL = ["--backbone", "small", "--feature-head", "global_only", "--epochs", "2", "--seeds", "0", "--set", "crop_px=32"]
SMALL += ["pretrained=none", "confusion_epoch=1"]


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make_sets(root):
    """A few pictures of every class and split, in the layout and the coding of each set."""
    basic, lines = root / "raf_db" / "basic", []
    for code in range(1, 8):
        for split, n in (("train", 3), ("test", 2)):
            for i in range(n):
                lines.append(f"{split}_{code}{i:04}.jpg {code}")
                picture(basic / "Image" / "aligned" / f"{split}_{code}{i:04}_aligned.jpg", code)
    (basic / "EmoLabel").mkdir()
    (basic / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")
    for k, code in enumerate(("SU", "FE", "DI", "HA", "SA", "AN", "NE")):
        for i in range(3):
            picture(root / "jaffe" / f"KA.{code}{i}.39.tiff", 10 * k + i)
    rows = ["emotion,pixels,Usage"]
    rng = np.random.default_rng(0)
    for k in range(7):
        for usage, n in (("Training", 3), ("PrivateTest", 2)):
            rows += [f"{k},{' '.join(map(str, rng.integers(0, 255, 48 * 48)))},{usage}" for _ in range(n)]
    (root / "fer2013").mkdir()
    (root / "fer2013" / "fer2013.csv").write_text("\n".join(rows) + "\n")
    faces = []
    for k, name in enumerate(SEVEN):
        for split, n in (("Train", 3), ("Val", 2)):
            for i in range(n):
                picture(root / "sfew" / split / name / f"film_{split}{i}.png", 100 * k + i)
        for i in range(12):  # its split is drawn by photograph
            picture(root / "expw" / "image" / "origin" / f"{name}{i}.jpg", 50 * k + i)
            faces.append(f"{name}{i}.jpg 0 4 4 36 36 99 {k}")
    (root / "expw" / "label").mkdir()
    (root / "expw" / "label" / "label.lst").write_text("\n".join(faces) + "\n")


def test_its_sets_are_read_and_stand_in_one_table(tmp_path, monkeypatch, capsys):
    """With MCD in every grid: what other methods do is tested elsewhere."""
    monkeypatch.chdir(tmp_path)
    make_sets(tmp_path / "data")
    given = ["compare", "--grid", str(PAPER), "--data-root", "data", "--out", "runs", *SMALL]
    assert main([*given, "--methods", "mcd"]) == 0
    rows = list(csv.DictReader((tmp_path / "runs" / "table.csv").open()))
    found = {(row["target"], row["method"], row["loss"]) for row in rows}
    assert found == {(target, "mcd", loss) for target in TARGETS for loss in ("ce", "di", "difc")}
    accuracy = (tmp_path / "runs" / "table.md").read_text().partition("# Accuracy on every target")[2].splitlines()
    head = next(line for line in accuracy if line.startswith("| method")).strip("| ").split(" | ")
    difc = next(line for line in accuracy if line.startswith("| mcd | difc ")).strip("| ").split(" | ")
    assert [difc[head.index(f"published {t}")] for t in TARGETS] == ["68.54", "56.87", "58.06", "71.20"]
    capsys.readouterr()
    assert main([*given, "--list"]) == 0
    # 4 targets × 3 losses, 4 targets × 9 other methods, 3 methods × 3 losses on sfew; MCD's of the first and the last
    assert "57 runs: 15 done, 42 left" in capsys.readouterr().out


def test_its_choices_are_the_paper_s():
    """Section 5.2: rates, batch, 20 + 20 epochs, a cap of 0.3 and ε of 0.02; every choice names its source."""
    mcd, others, table_5 = read_grid_file(PAPER)
    values = {key: given.value for key, given in mcd.settings.items()}
    said = {"lr": 1e-3, "lr_drop": 0.1, "optimiser.momentum": 0.9, "weight_decay": 5e-4, "batch_size": 32}
    said |= {"epochs": 40, "confusion_epoch": 20, "max_margin": 0.3, "epsilon": 0.02, "backbone": "ir50"}
    assert said.items() <= values.items() and (mcd.methods, mcd.losses) == (["mcd"], ["ce", "di", "difc"])
    assert mcd.targets == others.targets == TARGETS and table_5.targets == ["sfew"]
    assert sorted(table_5.methods) == ["dann", "mcd", "safn"] and table_5.settings["backbone"].value == "ir18"


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (("jaffe", "mcd", "difc", "ir50"), 68.54),
        (("sfew", "mcd", "difc", "ir50"), 56.87),
        (("sfew", "mcd", "difc", "ir18"), 55.66),
        (("sfew", "safn", "ce", "ir50"), 52.98),
        (("sfew", "safn", "ce", "resnet18"), 50.46),
        (("expw", "cdan", "ce", "ir50"), 63.15),
        (("expw", "cdan", "difc", "ir50"), None),
        (("sfew", "dann", "di", "ir50"), 50.12),
        (("fer2013", "dann", "di", "ir50"), None),
    ],
)
def test_published_numbers_are_those_of_the_network(cell, number):
    target, method, loss, backbone = cell
    assert published_accuracy("raf_db", target, method, loss, backbone) == number
    assert published_accuracy("fer2013", target, method, loss, backbone) is None


def test_the_weights_that_it_names_are_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--grid", str(PAPER), "--targets", "sfew", "--out", "runs"]) == 2
    assert not Path("runs/table.csv").exists()
