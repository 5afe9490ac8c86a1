"""``pa-difc views``: a crop and views for a pretrained classifier, without labels unless an oracle is asked for."""

import re
import shutil

import pytest
import torch

from pa_difc.backbones import make_backbone
from pa_difc.commands.parser import main
from pa_difc.util.errors import UserError

CROP = re.compile(r"^([> ]) +(\d\.\d) +(-?\d\.\d{3}) +(\d\.\d{3}) ", re.MULTILINE)


@pytest.fixture(scope="module")
def home(data_root, tmp_path_factory):
    """A labelled set, the same images without labels, and a model of a run on it."""
    home = tmp_path_factory.mktemp("views")
    shutil.copytree(data_root / "dim", home / "dim")
    for i, path in enumerate(sorted((home / "dim" / "train").rglob("*.png"))):
        (home / "loose").mkdir(exist_ok=True)
        shutil.copy(path, home / "loose" / f"{i:03}.png")
    given = ["--source", "folder:bright", "--target", "folder:dim", "--data-root", str(data_root), "--epochs", "3"]
    out = ["--set", "crop_px=32", "batch_size=16", "lr=0.05", "--out", str(home / "runs")]
    assert main(["train", "--method", "source_only", "--loss", "ce", *given, *out]) == 0
    return home


def views(home, capsys, *words, target="images:loose"):
    capsys.readouterr()
    (model,) = (home / "runs" / "runs").iterdir()
    given = ["--pretrained", str(model), "--target", target, "--data-root", str(home), "--set", "crop_px=32"]
    assert main(["views", *given, *words]) == 0
    return capsys.readouterr().out


def test_a_crop_is_chosen_and_said_as_settings(home, capsys):
    out = views(home, capsys)
    crops = CROP.findall(out)
    assert [float(scale) for _, scale, _, _ in crops] == [0.8, 0.9, 1.0, 1.1, 1.2]
    products = [float(agreement) * float(confidence) for _, _, agreement, confidence in crops]
    (marked,) = (i for i, (mark, *_) in enumerate(crops) if mark == ">")
    assert products[marked] == pytest.approx(max(products), abs=2e-3)
    setting = re.search(r"chosen: --set input_scale=(\S+) eval.views=(\S+)", out)
    assert float(setting[1]) == float(crops[marked][1]) and setting[2] in ("flip", "flip+scales")
    assert "63 faces, no label is read" in out and "accuracy" not in out


def test_labels_change_nothing_but_what_an_oracle_says(home, capsys):
    loose, labelled, oracle = (
        views(home, capsys),
        views(home, capsys, target="folder:dim"),
        views(home, capsys, "--oracle", target="folder:dim"),
    )
    assert CROP.findall(loose) == CROP.findall(labelled) == CROP.findall(oracle)
    assert loose.rpartition("chosen")[2] == oracle.rpartition("chosen")[2]
    assert "accuracy" not in labelled
    assert "their labels are read, after the choice" in oracle and "mean recall  ≥ 20 faces (by labels)" in oracle
    ends = [line for line in oracle.splitlines() if CROP.match(line)]
    assert len({tuple(line.split()[-3:]) for line in ends}) > 1
    assert all(line.endswith("%           –") for line in ends)  # there are nine faces of a class


def test_an_oracle_needs_labels(home, capsys):
    with pytest.raises(UserError, match=r"images:loose has no labels: --oracle would read them"):
        views(home, capsys, "--oracle")


def test_fewer_faces_are_looked_at_if_asked_for(home, capsys):
    assert " 10 faces, no label" in views(home, capsys, "--faces", "10")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faces", "1"], "--faces 1: must be at least 2"),
        (["--set", "input_scale=0.9"], "input_scale=0.9: this command chooses it; leave it out"),
        (["--set", "input_scale=9"], "input_scale=9.0: must be a finite number at least 0.5 and at most 2"),
        (["--device", "tpu"], "device 'tpu'"),
        (["--labels", "folders"], "no labels"),
    ],
)
def test_mistakes_are_answered_in_one_line(words, said, home, capsys):
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        views(home, capsys, *words)
    assert "\n" not in str(refused.value)


def test_weights_without_a_classifier_are_refused(home, data_root):
    torch.save(make_backbone("small").state_dict(), home / "weights.pt")
    given = ["--target", "images:loose", "--data-root", str(home), "--set", "crop_px=32"]
    with pytest.raises(UserError, match=r"the classes of .*weights\.pt are not known: name them"):
        main(["views", "--pretrained", str(home / "weights.pt"), *given])
