"""A target of which nobody knows a label: adapted to, predicted, chosen by, and never scored."""

import csv
import json
import re
import runpy
import shlex
import shutil
import sys

import numpy as np
import pytest
from processes import ROOT, here

from pa_difc.commands.parser import main
from pa_difc.commands.scores import print_scores
from pa_difc.data import Domain
from pa_difc.training.build import load_pair
from pa_difc.training.record import read_record
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

GRID = ["--methods", "source_only", "dann", "--losses", "ce", "difc", "--seeds", "0", "1", "--epochs", "2"]


@pytest.fixture(scope="module")
def root(data_root, tmp_path_factory):
    """The labelled source, and the target's images in folders that say nothing."""
    root = tmp_path_factory.mktemp("unlabelled")
    shutil.copytree(data_root / "bright", root / "bright")
    for i, path in enumerate(sorted((data_root / "dim").rglob("*.png"))):
        place = root / "loose" / f"camera{i % 2}" / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return root


def flags(root, out):
    return [
        "--source", "folder:bright", "--target", "images:loose", "--data-root", root, "--out", out,
        "--set", "crop_px=32", "batch_size=16",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def grid(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    code, text, err = here("compare", *flags(root, out), *GRID)
    assert code == 0, err
    return out, text


def test_a_comparison_ends_in_a_choice_and_the_command_that_exports_it(grid, tmp_path):
    out, text = grid
    assert "126 faces without labels" in text and "accuracy" not in text
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    (chosen,) = [row for row in rows if row["chosen"] == "True"]
    assert f"chosen: {chosen['method']} + {chosen['loss']}" in text
    assert all(
        sum(float(v) for k, v in row.items() if k.startswith("predicted_")) == pytest.approx(1, abs=1e-5)
        for row in rows
    )
    model = re.search(r"pa-difc export --model (\S+)", text).group(1)
    assert f"{chosen['method']}-{chosen['loss']}-seed0" in model
    code, _, err = here("export", "--model", model, "--out", tmp_path / "model")
    assert code == 0, err
    card = (tmp_path / "model" / "README.md").read_text()
    assert (
        "Unknown: the target had no labels" in card
        and "images:loose, 126 faces" in card
        and "recall, target" not in card
    )


def test_the_terminal_says_that_almost_all_faces_are_of_one_class(grid, tmp_path, capsys):
    record = read_record(next(grid[0].glob("runs/*/record.json")))
    record["scores"]["unlabelled_target"] = {"predicted": [1, 1, 1, 93, 2, 1, 1], "collapsed": False}
    (tmp_path / "record.json").write_text(json.dumps(record))  # without a seal, which is an older version's
    print_scores(read_record(tmp_path / "record.json"), tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert "100 faces without labels" in said and "93%" in said
    assert "collapsed: fewer than half of the classes were ever predicted, or one class for at least 90 % of" in said


def test_a_choice_among_heads_on_frozen_features_ends_in_the_command_that_trains_the_whole_network(root, tmp_path):
    heads = [*GRID[:2], "--losses", "ce", "di", "--seeds", "3", "--epochs", "1", "--features", "frozen"]
    code, text, err = here("compare", *flags(root, tmp_path / "heads"), *heads)
    assert code == 0 and "pa-difc export" not in text, err
    chosen, line = re.search(
        r"(?:chosen|rely on it): (.*); to use it, train its whole network: pa-difc (.*)", text
    ).groups()
    run = next((tmp_path / "heads" / "runs").glob(f"{chosen.replace(' + ', '-')}-*"))
    for command in (
        ["export", "--model", run, "--out", tmp_path / "none"],
        ["predict", "--model", run, root / "loose"],
    ):
        code, _, err = here(*command)
        assert code == 2 and "a run on frozen features" in err and err.count("\n") == 1, err
    words = shlex.split(line)
    words[words.index("--out") + 1] = str(tmp_path / "whole")
    assert here(*words)[0] == 0
    (run,) = (tmp_path / "whole" / "runs").glob(f"{chosen.replace(' + ', '-')}-seed3-*")
    assert here("export", "--model", run, "--out", tmp_path / "model")[0] == 0


def test_the_report_shows_predictions_and_never_a_score_on_the_target(grid):
    out, _ = grid
    code, _, err = here("report", out)
    assert code == 0, err
    text = (out / "report" / "report.md").read_text()
    assert "folder:bright" in text and "Take " in text and "Predicted classes (%)" in text
    figures = {path.name for path in (out / "report" / "figures").glob("*.svg")}
    assert "dann-predicted-classes.svg" in figures and "dann-difc-features-by-class.svg" in figures
    assert not any("recall" in name or "matrix" in name or "reliability" in name for name in figures)
    runs = (out / "report" / "tables" / "runs.csv").read_text()
    said = ("accuracy is known to within 7 points", "Neither is accuracy: the target has no labels.")
    for words in said:  # if somebody labelled 200 faces; what a picture of criteria is not
        assert words in text
        text = text.replace(words, "")
    assert "predicted_fear" in runs and "accuracy" not in runs + text
    code, _, err = here("report", out, "--with-images")
    assert code == 2 and "has no labels to tell" in err


def test_a_record_has_no_score_on_the_target_and_a_second_call_trains_nothing(grid, root):
    out, before = grid
    for path in out.glob("runs/*/record.json"):
        scores = json.loads(path.read_text())["scores"]
        assert scores.keys() == {"source", "unlabelled_target"} and sum(scores["unlabelled_target"]["predicted"]) == 126
        then = path.stat().st_mtime_ns
    code, text, _ = here("compare", *flags(root, out), *GRID)
    assert code == 0 and path.stat().st_mtime_ns == then
    assert text.partition("method")[2] == before.partition("method")[2]


@pytest.mark.parametrize("adjust", ["none", "rlls"])
def test_labels_of_the_target_change_nothing_but_its_scores(source, target, tmp_path, adjust):
    known = Domain("dim", target.train, target.train, transductive=True)
    faces = target.train.without_labels()
    unknown = Domain("dim", faces, faces, transductive=True)
    config = resolve(
        Settings.of(method="dann", loss="difc", epochs=2, batch_size=16, crop_px=32, prior_correction=adjust)
    )
    records, outputs = [], []
    for i, domain in enumerate((known, unknown)):
        records.append(run_cell(config, source, domain, tmp_path / str(i), progress=False))
        outputs.append(np.load(next((tmp_path / str(i)).rglob("outputs.npz"))))
    scores = [record["scores"] for record in records]
    assert scores[0]["source"] == scores[1]["source"]
    counted = scores[1]["unlabelled_target"]
    assert {key: scores[0]["target"][key] for key in counted} == counted
    for name in ("target_probs", "target_features", "source_probs"):
        assert (outputs[0][name] == outputs[1][name]).all()
    assert (outputs[1]["target_labels"] == -1).all() and (outputs[0]["target_labels"] >= 0).all()


def test_a_study_chooses_and_says_that_it_can_t_be_scored(root, tmp_path):
    study = ["--method", "source_only", "--epochs", "2", "--features", "frozen", "--trials", "3"]
    code, text, err = here("search", *flags(root, tmp_path), *study)
    assert code == 0, err
    assert "chosen: trial" in text and "is unknown" in text
    (report,) = tmp_path.glob("*/report.md")
    page = report.read_text()
    assert "picks trial" in page and "regret, points" not in page and "target mean recall" not in page
    assert "No target label was used" in report.with_name("best.toml").read_text()
    assert not list(tmp_path.glob("*/after"))  # nothing was trained to be scored


def test_a_recipe_says_what_it_predicted(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dann.py", *map(str, flags(root, tmp_path)), "--epochs", "1"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "recipes" / "dann.py"), run_name="__main__")
    text, err = capsys.readouterr()
    assert stop.value.code == 0, err
    assert "126 faces without labels, predicted to be" in text and "accuracy" not in text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "images:loose"}, "images:loose has no labels: a source is learnt from its labels"),
        ({"target": "loose"}, "'loose' is a folder: folder:loose or images:loose?"),
        ({"target": "images:none"}, "no folder"),
        ({"target": "images:loose", "target_shift": 1.0}, "class proportions can't be shifted"),
    ],
)
def test_what_needs_labels_or_a_word_says_so(root, settings, words):
    pair = {"source": "folder:bright", "target": "folder:bright", "root": str(root), "crop_px": 32}
    config = Settings.of(**pair | settings)
    with pytest.raises(UserError, match=words):
        load_pair(config)


def test_datasets_counts_them_and_says_what_they_are_good_for(root, capsys):
    assert main(["datasets", "images:loose", "--data-root", str(root)]) == 0
    text = capsys.readouterr().out
    assert "126 samples" in text and "no labels: usable as a target" in text


@pytest.mark.parametrize("command", [("shift",), ("search", "--confirm", "1")])
def test_commands_that_score_refuse_it_in_one_line(root, tmp_path, command):
    code, _, err = here(*command, *flags(root, tmp_path))
    assert code == 2 and "images:loose has no labels" in err and err.count("\n") == 1, err
