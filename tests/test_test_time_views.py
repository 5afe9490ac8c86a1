"""Views at test time: every prediction of a run and of its model is the mean over them, training is not touched."""

import json

import numpy as np
import pytest
import torch
from made import OLD_TORCH, random_faces
from rare import slow

from pa_difc.data import Domain, EvalLoader
from pa_difc.data.faces import FaceSet, mirror_faces
from pa_difc.data.labels import LabelSet
from pa_difc.data.views import views_of
from pa_difc.deploy.agreement import example
from pa_difc.deploy.export import export_model
from pa_difc.deploy.model import FaceModel, load_model, save_model
from pa_difc.evaluation import predict
from pa_difc.evaluation.prior import estimate_prior
from pa_difc.training.build import make_adapter
from pa_difc.training.identity import common, identity
from pa_difc.training.record import RunFolder, read_record
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

SOURCE, TARGET = (
    Domain("s", random_faces(28, 0), random_faces(14, 1)),
    Domain("t", random_faces(35, 2), random_faces(21, 3)),
)
THREE = LabelSet(("calm", "happy", "other"))
HEADS = ["global_only", "global_local"]


def settings(**values):
    return resolve(Settings.of(crop_px=32, epochs=1, batch_size=8, **values))


def mirror_images(faces):
    images, landmarks = faces.images.copy(), faces.landmarks.copy()
    mirror_faces(images, landmarks, np.ones(len(faces), dtype=bool))
    return FaceSet(images, landmarks, faces.labels, faces.names)


@pytest.mark.parametrize("feature_head", HEADS)
@pytest.mark.parametrize(("views", "same"), [("none", False), ("flip", True), ("flip+scales", True)])
def test_a_face_and_its_mirror_image_are_predicted_alike(feature_head, views, same):
    adapter = make_adapter(settings(feature_head=feature_head, method="mcd"), SOURCE, 4)
    probs, mirrored = (
        predict(adapter, EvalLoader(faces), views=views).probs for faces in (TARGET.test, mirror_images(TARGET.test))
    )
    assert torch.allclose(probs, mirrored, atol=1e-6) is same


@pytest.mark.parametrize("views", ["flip", "flip+scales"])
def test_a_prediction_is_the_mean_of_the_views_probabilities(views):
    adapter = make_adapter(settings(method="mcd"), SOURCE, 4)
    found = predict(adapter, EvalLoader(TARGET.test, batch_size=8), domain=1, views=views)
    (faces,) = EvalLoader(TARGET.test)
    alone = [predict(adapter, [view]) for view in views_of(faces, views)]
    torch.testing.assert_close(found.probs, sum(one.probs for one in alone) / len(alone))
    torch.testing.assert_close(found.features, alone[0].features)  # of the face as it is
    assert (alone[0].probs - found.probs).abs().max() > 1e-4


def outputs(folder):
    return np.load(folder / "outputs.npz")


@pytest.fixture(scope="module", params=["flip+scales", *slow("none", "flip")])
def run(request, tmp_path_factory):
    """Three classes, landmark branches, and views: the run's settings and folder."""
    out = tmp_path_factory.mktemp("run")
    wanted = settings(method="mcd", feature_head="global_local", **{"eval.views": request.param})
    three = [
        Domain(name, *(random_faces(n, s, num_classes=3) for n, s in sizes), label_set=THREE)
        for name, sizes in (("s", ((27, 0), (12, 1))), ("t", ((30, 2), (18, 3))))
    ]
    run_cell(wanted, *three, out, progress=False)
    return request.param, three[1].test, RunFolder.of(out, wanted, *three).path


def test_a_run_is_scored_by_its_views_and_its_model_predicts_with_them(run):
    views, faces, folder = run
    adapter = load_model(folder)
    image, landmarks = torch.from_numpy(faces.images).float() / 255, torch.from_numpy(faces.landmarks)
    with torch.no_grad():
        np.testing.assert_allclose(adapter(image, landmarks), outputs(folder)["target_probs"], atol=1e-5)
    said = read_record(folder / "record.json")["settings"]["eval"]
    assert said["views"] == views and adapter.settings["settings"]["eval"] == {"views": views}


def test_the_model_of_a_folder_keeps_its_views(run, tmp_path):
    views, _, folder = run
    model = load_model(folder)
    save_model(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["settings"]["eval"] == {"views": views}
    given = example(model, 4)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(*given), model(*given))


@pytest.mark.skipif(OLD_TORCH, reason="ONNX needs torch 2.6")
def test_every_format_averages_the_views(run, tmp_path):
    views, _, folder = run
    model = load_model(folder)
    export_model(model, tmp_path, ("onnx", "pt2"), None)

    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    program = torch.export.load(tmp_path / "model.pt2").module()
    image, points = example(model, 6, seed=9)
    there = [1, 0, 2, 4, 3]
    other = image.flip(-1), torch.stack([32 - points[:, there, 0], points[:, there, 1]], dim=-1)
    for run_it in (
        lambda image, points: session.run(None, {"image": image.numpy(), "landmarks": points.numpy()})[0],
        lambda image, points: program(image, points).detach().numpy(),
    ):
        probs, mirrored = run_it(image, points), run_it(*(part.contiguous() for part in other))
        assert np.allclose(probs, mirrored, atol=1e-5) is (views != "none")
        with torch.no_grad():
            np.testing.assert_allclose(probs, model(image, points), atol=1e-4)


def test_training_is_the_same_with_and_without_views(tmp_path):
    histories, weights = [], []
    for views in ("none", "flip"):
        wanted = settings(method="dann", loss="difc", target_sampler="pseudo_balanced", **{"eval.views": views})
        record = run_cell(wanted.but(epochs=2), SOURCE, TARGET, tmp_path, progress=False)
        histories.append([{k: v for k, v in epoch.items() if k != "seconds"} for epoch in record["history"]])
        folder = RunFolder.of(tmp_path, wanted.but(epochs=2), SOURCE, TARGET).path
        weights.append(torch.load(folder / "checkpoint.pt", weights_only=True)["models"]["G"])
    assert histories[0] == histories[1]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_an_estimated_prior_is_estimated_from_the_views(tmp_path):
    """What is re-weighted are averaged probabilities: they are what the estimate must be made from, on both sides."""
    wanted = settings(prior_correction="mlls", **{"eval.views": "flip+scales"})
    found = run_cell(wanted, SOURCE, TARGET, tmp_path, progress=False)["model"]["adjustment"]
    adapter = make_adapter(wanted, SOURCE, 4)
    folder = RunFolder.of(tmp_path, wanted, SOURCE, TARGET).path
    adapter.models.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["models"])
    estimates = [
        estimate_prior(
            "mlls",
            predict(adapter, EvalLoader(SOURCE.test), domain=0, views=views).probs.numpy(),
            SOURCE.test.labels,
            predict(adapter, EvalLoader(TARGET.train), views=views).probs.numpy(),
        ).to_dict()
        for views in ("flip+scales", "none")
    ]
    assert found == estimates[0] != estimates[1]


def test_cells_of_one_table_share_their_views():
    def of(**values):
        wanted = settings(**values)
        return common(identity(wanted, SOURCE, TARGET), wanted, None)

    assert of() == of(method="dann", loss="ce")
    assert of() != of(**{"eval.views": "flip"})


def test_other_views_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"unknown views 'flop': did you mean 'flip'") as refused:
        settings(**{"eval.views": "flop"})
    assert "\n" not in str(refused.value)


def test_a_folder_from_before_there_were_views_has_none(run):
    _, _, folder = run
    before = load_model(folder).settings
    before = before | {"settings": {name: group for name, group in before["settings"].items() if name != "eval"}}
    assert FaceModel(before).views == "none"
