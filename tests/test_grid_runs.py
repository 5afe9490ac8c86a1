"""Runs on a grid of features: settings, model folders, exports, old records."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from made import OLD_TORCH, random_faces

from pa_difc.backbones import BACKBONES
from pa_difc.backbones.spec import BackboneSpec
from pa_difc.data import Domain
from pa_difc.deploy.export import export_model, run_record
from pa_difc.deploy.model import load_model, save_model
from pa_difc.training.frozen import network_settings
from pa_difc.training.identity import hash_of, identity
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError
from pa_difc.util.files import read_json, write_sealed

SOURCE = Domain("s", random_faces(28, 0), random_faces(14, 1))
TARGET = Domain("t", random_faces(35, 2), random_faces(7, 3))


def config(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, "pool": "grid", **values}))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of MCD on late and last maps."""
    out, settings = tmp_path_factory.mktemp("run"), config(method="mcd", maps="late+last")
    run_cell(settings, SOURCE, TARGET, out, progress=False)
    return RunFolder.of(out, settings, SOURCE, TARGET).path


def probabilities(model):
    faces = TARGET.test
    with torch.no_grad():
        return model(torch.from_numpy(faces.images).float() / 255, torch.from_numpy(faces.landmarks)).numpy()


def test_a_grid_needs_no_landmarks():
    assert config().model.feature_head == "global_only"
    settings = config(backbone="ir18", crop_px=112)  # whose own head looks at landmarks
    assert settings.model.feature_head == "global_only"
    assert "model.feature_head" in settings.follows
    assert resolve(settings.but(pool="average")).model.feature_head == "global_local"


def test_grids_are_other_runs_and_other_features():
    """Averages, a grid, and a grid over other maps are three networks."""
    several = [config(pool="average"), config(), config(maps="mid+last")]
    assert len({hash_of(identity(s, SOURCE, TARGET)) for s in several}) == 3
    trained = [network_settings(s) for s in several]
    pretrained = [network_settings(s.but(pretrained="w.pt")) for s in several]
    assert all(a != b for found in (trained, pretrained) for a, b in pairwise(found))


def test_the_model_of_a_run_with_a_grid(run, tmp_path):
    """The folder says how it is built: 576 + 512 features, and the probabilities of the run."""
    model = load_model(run)
    assert {m.in_features for m in model.models["C"].modules() if isinstance(m, torch.nn.Linear)} == {576 + 512}
    np.testing.assert_allclose(probabilities(model), np.load(run / "outputs.npz")["target_probs"], atol=1e-5)
    save_model(model, tmp_path)
    assert (probabilities(load_model(tmp_path)) == probabilities(model)).all()


@pytest.mark.skipif(OLD_TORCH, reason="ONNX needs torch 2.6")
def test_every_format_has_the_grid(run, tmp_path):
    lines = export_model(load_model(run), tmp_path, ("onnx", "pt2"), run_record(run))  # which compares probabilities
    assert len(lines) == 4
    assert "grid over late+last" in (tmp_path / "README.md").read_text()


def test_folders_and_records_from_before_the_grid_are_averages(tmp_path):
    settings = config(pool="average", method="source_only", loss="ce")
    run_cell(settings, SOURCE, TARGET, tmp_path, progress=False)
    path = RunFolder.of(tmp_path, settings, SOURCE, TARGET).path
    before = probabilities(load_model(path))
    save_model(load_model(path), tmp_path / "kept")
    for file in (path / "record.json", tmp_path / "kept" / "config.json"):
        content = json.loads(file.read_text())
        model = content["settings"].get("model") or content["settings"]["settings"]["model"]
        assert (model.pop("pool"), model.pop("maps")) == ("average", "late")
        content.pop("digest", None)
        write_sealed(file, content)
        assert (probabilities(load_model(file.parent)) == before).all()


def test_settings_of_a_folder_that_no_network_has(run, tmp_path):
    save_model(load_model(run), tmp_path)
    content = read_json(tmp_path / "config.json")
    content["settings"]["model"]["maps"] = "middle"
    write_sealed(tmp_path / "config.json", content)
    with pytest.raises(UserError, match=r"settings\.model\.maps") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_a_plugin_s_backbone_without_a_grid_is_refused_before_any_data(monkeypatch):
    monkeypatch.setitem(BACKBONES, "plain", BackboneSpec(torch.nn.Identity, 32, 0.1, ""))
    with pytest.raises(UserError, match=r"^pool='grid': backbone plain does not support it"):
        config(backbone="plain")
