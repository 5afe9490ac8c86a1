"""Two classes, three, eight with contempt, thirty-one of anything: from class folders to ONNX and predictions."""

import csv
import html
import io
import json

import numpy as np
import pytest
from made import OLD_TORCH, class_folders
from PIL import Image
from rare import slow

from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN

#: Folders may be called anything.
ODD = ["$a$b", "-1", "<b>bold", "file", "Ünder", "x|y"]
MANY = sorted([*ODD, *(f"thing_{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(25))], key=str.casefold)

#: The folders on the disk, what --labels says, and the classes that it makes of them.
SETS = {
    "two": (["surprised", "Fear", "happy"], "two.toml", ["surprise", "fear"]),
    "three": ([*SEVEN, "contempt"], "valence", ["negative", "neutral", "positive"]),
    "eight": ([*SEVEN, "contempt"], "expressions8", [*SEVEN, "contempt"]),
    "many": (MANY, "folders", MANY),
}
METHODS, LOSSES = ["mcd", "dann", "safn"], ["ce", "di", "difc"]


@pytest.mark.parametrize("name", ["two", *slow("three", "eight", "many")])
def test_any_number_of_classes_goes_all_the_way(name, tmp_path, monkeypatch, capsys):
    folders, labels, classes = SETS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.toml").write_text('names = ["surprise", "fear"]\nexclude = ["happy"]\n')
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(tmp_path / domain, folders, seed, per_class=4 if len(folders) > 9 else 8)
    pair = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--labels", labels]
    small = ["--epochs", "1", "--set", "crop_px=32", "batch_size=16"]

    rows = []
    for methods, out in ((METHODS[:1], "runs"), (METHODS[1:], "others")):  # only the first is drawn below
        assert main(["compare", *pair, *small, "--methods", *methods, "--losses", *LOSSES, "--out", out]) == 0
        rows += csv.DictReader((tmp_path / out / "table.csv").open())
    assert [(r["method"], r["loss"]) for r in rows] == [(m, k) for m in METHODS for k in LOSSES]
    (run,) = (tmp_path / "runs" / "runs").glob("mcd-difc-*")
    record = json.loads((run / "record.json").read_text())
    assert record["labels"]["names"] == classes
    assert len(record["scores"]["target"]["recall"]) == len(record["history"][0]["state"]["margins"]) == len(classes)

    assert main(["report", "runs"]) == 0
    page = (tmp_path / "runs" / "report" / "report.html").read_text().replace("<wbr>", "")
    assert all(html.escape(c) in page for c in classes) and all(c == html.escape(c) or c not in page for c in classes)

    study = ["--features", "frozen", "--trials", "2", "--confirm-seeds", "0", "--method", "dann", "--out", "search"]
    assert main(["search", *pair, *small, *study]) == 0
    (best,) = (tmp_path / "search").glob("*/best.toml")
    assert "max_margin" in best.read_text()

    kind = ["safetensors"] if OLD_TORCH else ["onnx"]
    assert main(["export", "--model", str(run), "--out", "model", "--format", *kind]) == 0
    from skimage.data import astronaut

    Image.fromarray(astronaut()).save("photo.png")
    capsys.readouterr()
    assert main(["predict", "--model", "model", "photo.png", "--annotate", "drawn"]) == 0
    (face, *_) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert face["label"] in classes
    assert sum(float(face["class file" if c == "file" else c]) for c in classes) == pytest.approx(1, abs=1e-2)


def compare(*words):
    return main(["compare", "--data-root", ".", "--epochs", "1", "--set", "crop_px=32", "batch_size=16",
                 "--source", "folder:bright", "--target", "folder:dim", *words])  # fmt: skip


def test_classes_that_are_missing_are_said_and_matter_only_to_losses_with_counts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "bright", SEVEN[:6], 0, per_class=4)
    class_folders(tmp_path / "dim", SEVEN[1:], 1, per_class=4)
    assert compare("--methods", "source_only", "--losses", "ce", "difc", "--out", "runs") == 2
    said = capsys.readouterr()
    assert "no train face in folder:bright of: neutral" in said.out
    assert "no test face in folder:dim of: surprise" in said.out
    assert (
        "failed: source_only · difc: source folder:bright: loss 'difc': class neutral has no source sample" in said.err
    )
    (record,) = (tmp_path / "runs" / "runs").glob("*/record.json")
    assert json.loads(record.read_text())["scores"]["target"]["recall"][0] is None  # surprise


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("expresions", "unknown label set 'expresions': did you mean 'expressions'"),
        ("nowhere.toml", "cannot read nowhere.toml: No such file"),
        ("two_names.toml", "'angry' are two names for one class"),
        ("of_nothing.toml", "synonym 'scared': 'fear' is no class"),
        ("few.toml", "'disgust' (8 samples) is no class of fear, happy"),
    ],
)
def test_label_sets_that_are_not_as_they_should_be(labels, words, tmp_path, monkeypatch, capsys):
    from pa_difc.commands.console import exit_with

    monkeypatch.chdir(tmp_path)
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(tmp_path / domain, SEVEN, seed, per_class=8)
    (tmp_path / "two_names.toml").write_text('names = ["anger", "angry"]')
    (tmp_path / "of_nothing.toml").write_text('names = ["a", "b"]\n[synonyms]\nscared = "fear"')
    (tmp_path / "few.toml").write_text('names = ["fear", "happy"]\nexclude = ["surprise", "anger", "sad", "neutral"]')
    with pytest.raises(SystemExit) as stop:
        exit_with(lambda: compare("--labels", labels, "--out", "runs"))
    err = capsys.readouterr().err
    assert stop.value.code == 2 and words in err and err.count("\n") == 1, err


def test_one_store_serves_every_label_set(tmp_path, monkeypatch, capsys):
    """A store is prepared once, whatever its faces are to be classified as."""
    monkeypatch.chdir(tmp_path)
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(tmp_path / domain, [*SEVEN, "contempt"], seed, per_class=4)
        words = ["prepare", "--dataset", f"folder:{domain}", "--data-root", ".", "--out", f"stores/{domain}"]
        assert main([*words, "--crop-px", "32", "--on-missing", "whole", "--processes", "1"]) == 0
    pair = ["--source", "store:bright", "--target", "store:dim", "--data-root", "stores", "--epochs", "1"]
    for labels, k in (("expressions", 7), ("expressions8", 8), ("valence", 3), ("folders", 8)):
        capsys.readouterr()
        words = [*pair, "--labels", labels, "--out", labels, "--set", "crop_px=32", "batch_size=8"]
        assert main(["train", *words, "--method", "source_only", "--loss", "difc"]) == 0
        (path,) = (tmp_path / labels / "runs").glob("*/record.json")
        record = json.loads(path.read_text())
        assert len(record["labels"]["names"]) == k == len(record["data"]["source"]["train_counts"])
        assert np.sum(record["data"]["source"]["train_counts"] + record["data"]["source"]["test_counts"]) == 4 * {
            "expressions": 7, "expressions8": 8, "valence": 7, "folders": 8,
        }[labels]  # fmt: skip
        assert ("left out of store:bright" in capsys.readouterr().out) == (labels in ("expressions", "valence"))
