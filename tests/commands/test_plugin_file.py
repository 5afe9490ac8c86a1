"""A method with options and a backbone in one file of the user's: trained, changed, exported, used to predict."""

import csv
import io
import json
import re

import pytest
from made import class_folders
from PIL import Image
from processes import apart
from test_commands import flags

from pa_difc.data.labels import SEVEN

PLUGIN = '''
"""Mine."""

from dataclasses import dataclass

import torch

from pa_difc import BACKBONES, METHODS, Options, PenaltyMethod, option
from pa_difc.backbones import BackboneSpec


@METHODS.register("mean_match")
class MeanMatch(PenaltyMethod):
    """Means of features, to a power."""

    about = "features of equal mean"
    loss_name = "mean_loss"

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        power: float = option(2.0, "p of the norm", above=0)
        detach: bool = option(False, "whether source features stay where they are")

    def penalty(self, step):
        source = step.src_features.mean(dim=0)
        source = source.detach() if self.options.detach else source
        return (source - step.target_features.mean(dim=0)).abs().pow(self.options.power).sum()


class Flat(torch.nn.Module):
    def __init__(self, feature_head, landmark_branch, width):
        super().__init__()
        self.layer, self.num_features = torch.nn.Linear(3, width), width

    def forward(self, face):
        return self.layer(face.image.mean(dim=(2, 3))).relu()


@dataclass(frozen=True)
class FlatOptions(Options):
    width: int = option(8, "features", at_least=1)


FLAT = BackboneSpec(Flat, 32, 0.05, "a mean and a layer", feature_head="global_only", options=FlatOptions)
BACKBONES.register("flat", FLAT)
'''


@pytest.fixture
def home(tmp_path):
    for domain, seed in (("bright", 0), ("dim", 1)):
        class_folders(tmp_path / domain, SEVEN, seed, per_class=8)
    (tmp_path / "mine.py").write_text(PLUGIN)
    return tmp_path


def pa_difc(home, *words):
    code, out, err = apart(*words, cwd=home)
    assert "Traceback" not in err, err
    return code, out, err


FLAGS = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", ".", "--epochs", "1", "--out", "runs"]
MINE = ["--plugin", "mine.py", "--backbone", "flat", "--method", "mean_match"]


def records(home):
    return {p.parent.name: json.loads(p.read_text()) for p in home.glob("runs/runs/*/record.json")}


def test_trained_changed_exported_and_used(home):
    words = [*FLAGS, *MINE, "--set", "method.power=1", "width=5", "batch_size=16"]
    assert pa_difc(home, "train", *words)[0] == 0
    assert pa_difc(home, "train", *words)[0] == 0  # has a record: the same run
    (first,) = records(home).values()
    assert first["settings"]["method"]["options"] == {"weight": 1.0, "power": 1.0, "detach": False}
    assert first["settings"]["model"]["options"] == {"width": 5}
    assert {"method", "backbone"} <= set(first["identity"]["code"])
    assert "mean_loss" in str(first["history"][0]["losses"])

    assert pa_difc(home, "train", *FLAGS, *MINE, "--set", "width=5", "batch_size=16")[0] == 0
    assert len(records(home)) == 2  # another option is another run
    (home / "mine.py").write_text(PLUGIN.replace("relu()", "tanh()"))
    assert pa_difc(home, "train", *words)[0] == 0
    assert len(records(home)) == 3  # and so is other code

    (folder,) = [n for n, r in records(home).items() if r["identity"] != first["identity"] and
                 r["settings"] == first["settings"]]  # fmt: skip
    model = ["--model", f"runs/runs/{folder}", "--out", "model"]
    code, _, err = pa_difc(home, "export", *model)
    assert code == 2 and "--plugin" in err and err.count("\n") == 1
    assert pa_difc(home, "export", *model, "--plugin", "mine.py")[0] == 0
    from skimage.data import astronaut

    Image.fromarray(astronaut()).save(home / "photo.png")
    use = ["predict", "--model", "model", "photo.png", "--plugin", "mine.py"]
    code, out, err = pa_difc(home, *use)
    assert code == 0 and next(csv.DictReader(io.StringIO(out)))["label"] in SEVEN and "warning" not in err, err
    (home / "mine.py").write_text(PLUGIN)
    for words in (use, ["export", *model, "--plugin", "mine.py"], use):  # an export changes nothing about it
        code, _, err = pa_difc(home, *words)
        assert code == 0 and err.count("warning: ") == 2 and "UserWarning" not in err, err
        assert f"backbone 'flat': {home.resolve() / 'mine.py'}, or a file that it imports, has changed since" in err


def test_beside_ours_in_a_table_and_in_the_list(home):
    grid = [*FLAGS, "--plugin", "mine.py", "--methods", "dann", "mean_match", "--losses", "ce", "difc"]
    code, out, err = pa_difc(home, "compare", *grid, "--set", "crop_px=32", "batch_size=16", "power=3")
    assert code == 0, err
    rows = list(csv.DictReader((home / "runs" / "table.csv").open()))
    assert [(r["method"], r["loss"]) for r in rows] == [
        ("dann", "ce"), ("dann", "difc"), ("mean_match", "ce"), ("mean_match", "difc"),
    ]  # fmt: skip
    code, out, _ = pa_difc(home, "list", "methods", "--plugin", "mine.py")
    assert code == 0 and re.search(r"^mean_match +features of equal mean$", out, re.MULTILINE)
    assert "power = 2.0, above 0: p of the norm" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "--plugin mine.py: no such file"),
        ("1 / 0", "--plugin mine.py, line 1: ZeroDivisionError: division by zero"),
        ("\n\nraise SystemExit(3)", "--plugin mine.py, line 3: SystemExit: 3"),
        ("import nowhere_to_be_found", "line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("x = 1\ndef broken(:", "--plugin mine.py, line 2: SyntaxError: invalid syntax\n"),
        ("from pa_difc import METHODS\nMETHODS.register('mcd', object)", "method 'mcd' is built in"),
    ],
)
def test_a_file_that_can_t_be_used_is_one_line(home, text, words):
    (home / "mine.py").unlink() if text is None else (home / "mine.py").write_text(text)
    code, _, err = pa_difc(home, "train", *FLAGS, "--plugin", "mine.py")
    assert (code, err.count("\n")) == (2, 1) and words in err, err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("method.powr=1", "'method.powr'"),
        ("power=0", "power=0.0: must be a finite number above 0"),
        ("detach=perhaps", "must be true or false"),
    ],
)
def test_options_are_checked(home, setting, words):
    code, _, err = pa_difc(home, "train", *FLAGS, *MINE, "--set", setting)
    assert (code, err.count("\n")) == (2, 1) and words in err, err


FAILING = """
from pa_difc import METHODS, PenaltyMethod


def scaled(features):
    return features / "2"


@METHODS.register("failing")
class Failing(PenaltyMethod):
    about, loss_name = "fails", "failing_loss"

    def penalty(self, step):
        return scaled(step.src_features).mean()
"""


def test_an_error_in_the_file_comes_with_its_line(data_root, tmp_path):
    (tmp_path / "mine.py").write_text(FAILING)
    grid = ["--methods", "failing", "--losses", "ce", "di", "--epochs", "1", "--plugin", str(tmp_path / "mine.py")]
    code, _, err = apart("compare", *flags(data_root, tmp_path / "out"), *grid)
    (line,) = err.splitlines()
    assert code == 1
    assert line.startswith("failed: failing · ce: TypeError: unsupported operand type(s)")
    assert " (mine.py, line 6) (" in line and line.endswith("… and 1 more run")


def test_a_class_without_its_penalty_is_refused_when_it_registers(tmp_path):
    (tmp_path / "lacking.py").write_text(FAILING.replace("penalty", "penalti").replace('"failing"', '"lacking"'))
    code, _, err = apart("list", "methods", "--plugin", str(tmp_path / "lacking.py"))
    said = r"lacking\.py, line \d+: UserError: method 'lacking': Failing has no penalty\(\): define it"
    assert code == 2 and re.search(said, err), err
