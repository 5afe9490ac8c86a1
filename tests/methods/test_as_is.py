"""The pretrained classifier as it is: nothing moves, once in a grid, and a model to keep in the end."""

import json
from pathlib import Path

import pytest
import torch
from made import class_folders, random_faces, settings_given
from safetensors.torch import load_file, save_file

from pa_difc.backbones import make_backbone
from pa_difc.commands.given_cells import expand
from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.data.faces import Face
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model as load
from pa_difc.losses import LOSSES
from pa_difc.methods import METHODS, AsIs
from pa_difc.training.build import make_adapter
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

CLASSES = ("tree", "car", "dog")


@pytest.fixture
def weights(tmp_path):
    """A small network whose BatchNorm has seen other images, and a classifier of three classes."""
    torch.manual_seed(1)
    network = make_backbone("small")
    network(Face(torch.rand(8, 3, 32, 32) ** 2, torch.zeros(8, 5, 2)))
    state = network.state_dict() | {"fc.weight": torch.randn(3, 128), "fc.bias": torch.randn(3)}
    save_file(state, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def few(name, seed):
    labels = LabelSet(("car", "dog", "tree"))
    return Domain(name, random_faces(12, seed, num_classes=3), random_faces(9, seed + 1, num_classes=3), labels)


def settings(weights, **values):
    given = {"method": "as_is", "loss": "ce", "crop_px": 32, "pretrained": str(weights), "pretrained_classes": CLASSES}
    return resolve(Settings.of(**given | values))


def test_it_predicts_what_the_weights_say_and_leaves_them_alone(weights, tmp_path):
    source, target = few("s", 0), few("t", 5)
    record = run_cell(settings(weights, epochs=7), source, target, tmp_path, progress=False)
    assert record["history"] == [] and record["seconds"]["training"] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    state = load_file(weights)
    kept = load(folder).state_dict()
    for name, value in state.items():
        if not name.startswith("fc."):
            assert torch.equal(kept[f"models.G.{name}"], value), name
    model, face = load(folder), torch.rand(4, 3, 32, 32)
    network = make_backbone("small")
    network.load_state_dict(state, strict=False)
    z = network.eval()(Face(face, torch.zeros(4, 5, 2))) @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(model(face, torch.zeros(4, 5, 2)), z.softmax(1)[:, [1, 2, 0]])


def test_labels_do_not_matter_and_a_second_call_reads_the_record(weights, tmp_path):
    source, target = few("s", 0), few("t", 5)
    first = run_cell(settings(weights), source, target, tmp_path / "a", progress=False)
    assert run_cell(settings(weights), source, target, tmp_path / "a", progress=False)["finished"] == first["finished"]
    source.train.labels[:] = 0
    second = run_cell(settings(weights), source, target, tmp_path / "b", progress=False)
    assert first["scores"] == second["scores"]


def test_a_run_that_was_killed_before_its_record_goes_on(weights, tmp_path):
    source, target = few("s", 0), few("t", 5)
    first = run_cell(settings(weights), source, target, tmp_path, progress=False)
    (folder,) = (tmp_path / "runs").iterdir()
    (folder / "record.json").unlink()
    again = run_cell(settings(weights), source, target, tmp_path, progress=False)
    assert again["scores"] == first["scores"] and again["history"] == []


def test_it_has_no_step(weights):
    adapter = make_adapter(settings(weights), few("s", 0), 3)
    with pytest.raises(UserError, match="as_is trains nothing"):
        adapter.training_step({})


def test_without_a_classifier(weights):
    with pytest.raises(UserError, match="method as_is predicts with the classifier of pretrained weights: give --p"):
        settings(weights, pretrained=None, pretrained_classes=None)
    with pytest.raises(UserError, match="head_init=random: as_is needs the pretrained classifier; leave head_init out"):
        settings(weights, head_init="random", pretrained_classes=None)
    with pytest.raises(UserError, match=r"the classes of .*net\.safetensors are not known: name them in order"):
        make_adapter(settings(weights, pretrained_classes=None), few("s", 0), 3)


def test_once_in_a_grid_whatever_losses_and_seeds(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        class_folders(tmp_path / name, CLASSES, seed, 8)
    words = "compare --source folder:a --target folder:b --data-root . --labels folders --out runs --epochs 1"
    given = f"--set crop_px=32 batch_size=8 pretrained_classes={','.join(CLASSES)} --pretrained {weights}"
    grid = "--methods source_only as_is --losses difc drw --seeds 3 4"
    assert main([*words.split(), *grid.split(), *given.split()]) == 0
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "runs").glob("*/record.json")]
    cells = [
        tuple(r["settings"][g][k] for g, k in (("method", "name"), ("loss", "name"), ("run", "seed"))) for r in records
    ]
    trained = [("source_only", loss, seed) for loss in ("difc", "drw") for seed in (3, 4)]
    assert sorted(cells) == sorted([*trained, ("as_is", "ce", 3)])
    rows = (tmp_path / "runs" / "table.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["source_only", "difc"],
        ["source_only", "drw"],
        ["as_is", "ce"],
    ]
    assert main(["report", "runs"]) == 0
    (run,) = (tmp_path / "runs" / "runs").glob("as_is-*")
    assert main(["export", "--model", str(run), "--out", "mine"]) == 0
    assert "as its weights were: not trained" in (tmp_path / "mine" / "README.md").read_text()
    faces, points = torch.rand(2, 3, 32, 32), torch.zeros(2, 5, 2)
    assert torch.equal(load(Path("mine"))(faces, points), load(run)(faces, points))


def test_one_run_of_it(weights):
    cell = settings_given(
        *("--method", "as_is", "--loss", "difc", "--pretrained", weights, "--set"),
        *("pretrained_classes=tree,car,dog", "crop_px=32"),
    )
    assert (cell.method.name, cell.loss.name) == ("as_is", "ce")


def test_all_methods_are_those_that_need_no_weights_and_it_is_named_beside_them():
    assert not AsIs.trains and not {"as_is", "source_free"} & set(expand(METHODS, ["all"]))
    assert expand(METHODS, ["as_is", "all", "mcd"]) == ["as_is", *expand(METHODS, ["all"])]
    assert "ce" in expand(LOSSES, ["all"])
