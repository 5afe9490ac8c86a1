"""The scale at which a network is shown its faces: part of the network, in training, predictions and every format."""

import numpy as np
import pytest
import torch
from made import OLD_TORCH, random_faces

from pa_difc.backbones import make_backbone
from pa_difc.backbones.scale import show_scaled
from pa_difc.data import Domain, EvalLoader
from pa_difc.data.faces import Face
from pa_difc.data.views import scaled
from pa_difc.deploy.export import export_model
from pa_difc.deploy.model import FaceModel, load_model
from pa_difc.training.build import make_extractor
from pa_difc.training.frozen import extract, network_settings
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

SOURCE, TARGET = (
    Domain("s", random_faces(28, 0), random_faces(14, 1)),
    Domain("t", random_faces(35, 2), random_faces(21, 3)),
)
NETWORKS = [("small", "global_only", 32), ("small", "global_local", 48), ("mobilefacenet", "global_local", 112)]


def settings(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 8, **values}))


def faces_of(size_px, n=3):
    faces = random_faces(n, 5, size_px=size_px)
    return Face(torch.from_numpy(faces.images).float() / 255, torch.from_numpy(faces.landmarks))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "feature_head", "size_px"), NETWORKS)
@pytest.mark.parametrize("scale", [0.9, 1.2])
def test_the_network_sees_scaled_faces_and_landmarks(name, feature_head, size_px, scale, training):
    wanted = settings(backbone=name, feature_head=feature_head, crop_px=size_px, input_scale=scale, channels_last=False)
    extractor, plain = make_extractor(wanted), make_backbone(name, feature_head=feature_head)
    plain.load_state_dict(extractor.state_dict())  # whose names are the same
    faces = faces_of(size_px)
    with torch.no_grad():
        found = extractor.train(training)(faces)
        assert torch.equal(found, plain.train(training)(scaled(faces, scale)))
        assert (found - plain(faces)).abs().max() > 1e-5


def test_the_scale_of_one_is_no_work_at_all():
    extractor = make_extractor(settings(input_scale=1.0))
    seen = []
    extractor.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    faces = faces_of(32)
    extractor(faces)
    assert seen[0] is faces


def test_pixels_are_not_rounded_by_autocast():
    extractor = make_extractor(settings(input_scale=0.9, precision="bf16"))
    seen = []
    extractor.blocks.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    faces = faces_of(32)
    extractor.train()(faces)
    torch.testing.assert_close(seen[0], (scaled(faces, 0.9).image - 0.5) / 0.25)


def test_a_network_of_ones_own_is_scaled_too():
    class Corner(torch.nn.Module):
        def forward(self, face):
            return face.image[:, :, 0, 0] + face.landmarks[:, 0, 0, None]

    faces = faces_of(32)
    expected = Corner()(scaled(faces, 0.8))
    assert torch.equal(show_scaled(Corner(), 0.8)(faces), expected)


@pytest.fixture(scope="module", params=["global_only", "global_local"])
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    wanted = settings(method="mcd", feature_head=request.param, input_scale=0.8, **{"eval.views": "flip"})
    run_cell(wanted, SOURCE, TARGET, out, progress=False)
    return RunFolder.of(out, wanted, SOURCE, TARGET).path


def test_the_model_of_a_run_sees_faces_as_the_run_did(run):
    model = load_model(run)
    image, landmarks = torch.from_numpy(TARGET.test.images).float() / 255, torch.from_numpy(TARGET.test.landmarks)
    with torch.no_grad():
        probs = model(image, landmarks).numpy()
        np.testing.assert_allclose(probs, np.load(run / "outputs.npz")["target_probs"], atol=1e-5)
        before = model.settings["settings"]["model"].copy()
        before.pop("input_scale")  # as of a folder from before there was such a setting
        older = FaceModel(model.settings | {"settings": {**model.settings["settings"], "model": before}}).eval()
        older.load_state_dict(model.state_dict())
        assert np.abs(older(image, landmarks).numpy() - probs).max() > 1e-5
        np.testing.assert_allclose(older(*scaled(Face(image, landmarks), 0.8)).numpy(), probs, atol=1e-5)


@pytest.mark.skipif(OLD_TORCH, reason="ONNX needs torch 2.6")
def test_every_format_sees_faces_at_the_scale(run, tmp_path):
    lines = export_model(load_model(run), tmp_path, ("onnx", "pt2"), None)
    assert sum("of the model's" in line for line in lines) == 2


def test_frozen_features_are_of_scaled_faces(tmp_path):
    plain, loose = settings(), settings(input_scale=0.9)
    assert network_settings(plain.but(pretrained="w.pt")) != network_settings(loose.but(pretrained="w.pt"))
    source, _ = extract(loose, SOURCE, TARGET, tmp_path)
    weights = torch.load(next(tmp_path.glob("runs/*/checkpoint.pt")), weights_only=True)["models"]["G"]
    backbone = make_backbone("small").eval()
    backbone.load_state_dict(weights)
    (faces,) = EvalLoader(SOURCE.test)
    with torch.no_grad():
        expected = backbone(scaled(faces, 0.9)).numpy()
    np.testing.assert_allclose(source.test.features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 0.4, 2.1, 90.0])
def test_a_scale_that_leaves_no_face_is_refused(scale):
    with pytest.raises(UserError, match=r"input_scale=.*: must be a finite number at least 0.5 and at most 2"):
        settings(input_scale=scale)
