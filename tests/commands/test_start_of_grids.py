"""What grids take from pretrained weights, refuse before data is read, and say when they are stopped."""

import json

import pytest
from made import class_folders

from pa_difc.backbones.places import is_model_folder
from pa_difc.commands.parser import main
from pa_difc.data.labels import SEVEN
from pa_difc.training import outcome
from pa_difc.util.errors import Stopped, UserError

PAIR = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--epochs", "1"]
SMALL = ["crop_px=32", "batch_size=16"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two domains, and the run of a network that is not the default one."""
    home = tmp_path_factory.mktemp("start")
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(home / domain, SEVEN, seed, per_class=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        made = [
            "--backbone",
            "expression",
            "--pool",
            "grid",
            "--maps",
            "mid",
            "--out",
            "first",
            "--set",
            "batch_size=16",
        ]
        assert main(["train", "--method", "source_only", "--loss", "ce", *PAIR, *made]) == 0
        (home / "first" / "runs").iterdir().__next__().rename(home / "model")
    return home


@pytest.fixture(autouse=True)
def _here(home, monkeypatch):
    monkeypatch.chdir(home)


def compare(*words, methods=("source_only",), losses=("ce", "drw"), out="runs"):
    given = ["--methods", *methods, "--losses", *losses, "--out", out]
    return main(["compare", *PAIR, *given, *words])


def models_of(out):
    records = [json.loads((path / "record.json").read_text()) for path in (out / "runs").iterdir()]
    return [record["settings"]["model"] for record in records]


def test_a_model_folder_says_which_network_it_has(home, capsys):
    assert compare("--pretrained", "model", "--set", "batch_size=16", out="of_folder") == 0
    said = {(m["backbone"], m["pool"], m["maps"], m["head_init"]) for m in models_of(home / "of_folder")}
    assert said == {("expression", "grid", "mid", "pretrained")}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("weights model: ")]
    assert "; 0 missing; " in line  # once, for all cells are alike


def test_what_is_said_of_weights_is_said_once_and_fits_the_terminal(home, capsys, monkeypatch):
    """Whether a cell starts from their classifier, as with cross-entropy, or from another, as with CosFace."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("pa_difc.util.process._said", set())
    monkeypatch.setenv("COLUMNS", "50")
    given = ["--pretrained", "model", "--jobs", "1", "--set", "batch_size=16", "feature_head=global_only"]
    assert compare(*given, losses=("ce", "cosface"), out="told_once") == 0
    out = capsys.readouterr().out
    said = out.partition("2/2")[0]
    assert said.count("weights model: ") == said.count("the classifier of model is used") == 1
    first, second, *_ = said.partition("weights model: ")[2].splitlines()
    assert second.startswith("  ") and len("weights model: " + first) < 50 and len(second) < 50


def test_one_that_is_asked_for_wins(home):
    with pytest.raises(UserError, match="model has the backbone expression, not small"):
        compare("--pretrained", "model", "--backbone", "small", "--set", *SMALL, out="asked")


def test_views_takes_it_too(home, capsys):
    assert main(["views", "--pretrained", "model", "--target", "folder:dim", "--data-root", "."]) == 0
    assert "chosen: --set input_scale=" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["compare", "train", "views", "shift"])
def test_weights_that_cannot_be_read_cost_no_reading_of_data(home, command):
    """There is no such data: it would be said first if it were read first."""
    (home / "bad.pt").write_bytes(b"no weights")
    words = ["--target", "folder:nowhere", "--data-root", ".", "--backbone", "expression", "--pretrained", "bad.pt"]
    words += [] if command == "views" else ["--source", "folder:bright", "--out", "bad"]
    with pytest.raises(UserError, match=r"^cannot read weights bad\.pt"):
        main([command, *words])


def test_settings_of_training_are_refused_where_nothing_is_trained(home):
    one = ["--pretrained", "model", "--set", "batch_size=16"]
    for key in ("ema=0.9", "lr=0.5", "product=start"):
        with pytest.raises(UserError, match=rf"^--set {key.split('=')[0]}: has no effect: as_is trains nothing$"):
            compare(*one, key, methods=["as_is"], out="alone")
    assert compare(*one, "ema=0.9", methods=["as_is", "source_only"], losses=["ce"], out="both") == 0


def test_ctrl_c_in_a_grid_says_what_is_done(home, monkeypatch):
    run_cell = outcome.run_cell

    def interrupted(cell, *args, **kwargs):
        if cell.loss.name == "drw":
            raise KeyboardInterrupt
        return run_cell(cell, *args, **kwargs)

    monkeypatch.setattr(outcome, "run_cell", interrupted)
    with pytest.raises(Stopped, match=r"^stopped; 1 of 3 runs are done and kept$"):
        compare("--set", *SMALL, losses=["ce", "drw", "di"], out="stopped")
    monkeypatch.undo()
    monkeypatch.chdir(home)
    done = set((home / "stopped" / "runs").glob("*/record.json"))
    assert compare("--set", *SMALL, losses=["ce", "drw", "di"], out="stopped") == 0
    assert len(done) == 1 and done < set((home / "stopped" / "runs").glob("*/record.json"))


@pytest.mark.parametrize("place", ["9" * 300, "a/" * 3000, "no\0thing"])
def test_a_place_that_no_disk_could_have_is_no_model(place):
    assert not is_model_folder(place)
