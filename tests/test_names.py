"""Folders, files and classes whose names are not UTF-8, as old disks have them, from training to pictures."""

import os
import shutil
from pathlib import Path

import pytest
from made import class_folders

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN

ODD = os.fsdecode(b"caf\xe9")  # café in Latin-1
SMALL = ["--data-root", ".", "--epochs", "1", "--set", "crop_px=32", "batch_size=16"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, classes in ((f"set{ODD}", SEVEN), ("own", [ODD, "b"])):
        class_folders(Path(name), classes, 0, 8)
        for i, path in enumerate(sorted(Path(name).rglob("*.png"))):
            path.rename(path.with_name(f"{ODD}{i}.png"))
        next(Path(name).rglob("train/*")).joinpath(f"broken{ODD}.jpg").write_bytes(b"\xff\xd8\xff")
    return tmp_path


def pa_difc(capfd, *words):
    with pytest.raises(SystemExit) as stop:
        exit_with(lambda: main([*map(str, words)]))
    out, err = capfd.readouterr()
    assert not stop.value.code, err
    return out + err


def written(folder):
    """Every file that should be text is UTF-8."""
    kinds = {".csv", ".json", ".md", ".html", ".svg", ".txt", ".toml", ".jsonl"}
    files = [p for p in Path(folder).rglob("*") if p.suffix in kinds]
    for path in files:
        path.read_bytes().decode()
    return "".join(p.read_text() for p in files)


def test_a_grid_its_page_its_model_and_its_predictions(home, capfd):
    shutil.copytree(f"set{ODD}", f"other{ODD}")
    pair = ["--source", f"folder:set{ODD}", "--target", f"folder:other{ODD}", *SMALL]
    said = pa_difc(capfd, "compare", *pair, "--methods", "source_only", "--losses", "ce", "difc", "--out", f"grid{ODD}")
    assert r"caf\xe9" in said or r"caf\udce9" in said
    pa_difc(capfd, "report", f"grid{ODD}", "--with-images", "--data-root", ".")
    assert r"folder:setcaf\xe9" in written(f"grid{ODD}")
    (run,) = Path(f"grid{ODD}", "runs").glob("*-difc-*")
    pa_difc(capfd, "export", "--model", run, "--out", f"model{ODD}")
    given = ["--model", f"model{ODD}", f"set{ODD}", "--crop", "none"]
    pa_difc(capfd, "predict", *given, "--out", f"p{ODD}.csv", "--annotate", f"drawn{ODD}")
    assert rf"setcaf\xe9{os.sep}" in written(".") and len(list(Path(f"drawn{ODD}").rglob("*.png"))) == 56
    assert r"caf\xe9" in pa_difc(capfd, "predict", *given)


def test_classes_with_such_names_frozen_features_and_a_study(home, capfd):
    shutil.copytree("own", "others")
    pair = ["--source", "folder:own", "--target", "folder:others", *SMALL, "--labels", "folders"]
    pa_difc(capfd, "compare", *pair, "--methods", "mcd", "--losses", "ce", "difc", "--out", "grid")
    pa_difc(capfd, "report", "grid")
    run = next(Path("grid/runs").iterdir())
    pa_difc(capfd, "predict", "--model", run, "own", "--annotate", "drawn", "--crop", "none", "--out", "p.csv")
    study = ["--features", "frozen", "--trials", "1", "--confirm-seeds", "0", "--method", "dann"]
    pair[1] = pair[3] = f"folder:set{ODD}"
    pa_difc(capfd, "search", *pair[:-2], *study, "--out", f"study{ODD}")
    pa_difc(capfd, "prepare", "--dataset", "folder:own", "--data-root", ".", "--out", "store", "--on-missing", "whole",
            "--processes", 1)  # fmt: skip
    assert r"caf\xe9" in written(".") and Path("store/contact_sheet.png").exists()
