"""Predictions that are multiplied by those of another classifier: ``eval.product``."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from made import OLD_TORCH, classifier_weights, random_faces

from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.card import model_card
from pa_difc.deploy.export import export_model, run_record
from pa_difc.deploy.model import load_model, save_model
from pa_difc.deploy.model import load_model as load
from pa_difc.report.grid import Grid
from pa_difc.report.grid_page import write_grid
from pa_difc.report.run import all_runs
from pa_difc.training import other, stored
from pa_difc.training.build import make_adapter
from pa_difc.training.frozen import freeze
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.training.stored import stored_classifier
from pa_difc.util.errors import UserError

CLASSES = ("tree", "car", "dog")
LABELS = LabelSet(("car", "dog", "tree"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return classifier_weights(tmp_path_factory.mktemp("weights") / "net.safetensors")


def pair(labels=LABELS):
    return [Domain(n, *(random_faces(k, i, num_classes=3) for k, i in ((14, s), (9, s + 1))), labels)
            for s, n in ((0, "s"), (7, "t"))]  # fmt: skip


def settings(weights=None, **values):
    given = {"crop_px": 32, "epochs": 2, "batch_size": 6, "loss": "ce", "method": "dann", "lr": 0.005}
    given |= {"pretrained": str(weights), "pretrained_classes": CLASSES} if weights else {}
    return resolve(Settings.of(**given | values))


def trained(out, cell, labels=LABELS, domains=None):
    run_cell(cell, *(domains or pair(labels)), out, progress=False)
    (folder,) = (out / "runs").iterdir()
    return folder


def probs(folder, side="target"):
    return np.load(folder / "outputs.npz")[f"{side}_probs"].astype(float)


def product(p, q, power):
    """Row by row, in plain Python."""
    rows = [[a * b**power for a, b in zip(*pair, strict=True)] for pair in zip(p.tolist(), q.tolist(), strict=True)]
    return [[v / sum(row) for v in row] for row in rows]


@pytest.mark.parametrize("values", [{"views": "flip"}, {"views": "none", "ema": 0.5, "pool": "grid"}])
def test_the_start_multiplies_what_a_run_predicts_and_nothing_else(values, weights, tmp_path):
    cell = settings(weights, **values)
    alone, start = trained(tmp_path / "a", cell), trained(tmp_path / "b", resolve(cell.but(method="as_is")))
    folder = trained(tmp_path / "c", resolve(cell.but(product="start", product_power=1.7)))
    for side in ("source", "target"):
        np.testing.assert_allclose(probs(folder, side), product(probs(alone, side), probs(start, side), 1.7), atol=1e-5)
    assert np.abs(probs(folder) - probs(alone)).max() > 0.05
    first, second = (json.loads((f / "record.json").read_text())["history"] for f in (alone, folder))
    assert [h["losses"] for h in first] == [h["losses"] for h in second]


def test_another_model_multiplies_under_its_own_views_and_class_names(tmp_path):
    second = trained(tmp_path / "o", settings(method="source_only", views="flip"), LabelSet(CLASSES))
    alone = trained(tmp_path / "a", settings())
    folder = trained(tmp_path / "c", settings(product=str(second)))
    np.testing.assert_allclose(
        probs(folder), product(probs(alone), predicted(load(second))[:, [1, 2, 0]], 1.0), atol=1e-5
    )


def predicted(model):
    test = pair()[1].test
    with torch.no_grad():
        return model(torch.from_numpy(test.images).float() / 255, torch.from_numpy(test.landmarks)).double().numpy()


def run_predicts_as_its_model(folder):
    np.testing.assert_allclose(predicted(load(folder)), probs(folder), atol=1e-5)


@pytest.mark.parametrize("values", [{}, {"prior_correction": "bbse"}, {"ema": 0.5, "method": "mcd"}])
def test_a_run_and_its_export_hold_both_models(values, weights, tmp_path):
    place = tmp_path / "net.safetensors"
    shutil.copy(weights, place)
    folder = trained(tmp_path / "a", settings(place, product="start", product_power=0.6, input_scale=0.9, **values))
    place.unlink()
    run_predicts_as_its_model(folder)
    expected = probs(folder)
    lines = export_model(load_model(folder), tmp_path / "mine", ("safetensors",), run_record(folder))
    shutil.rmtree(folder.parent)
    kept = load(tmp_path / "mine")
    assert kept.power == 0.6 and kept.product.model.settings["settings"]["method"]["name"] == "as_is"
    np.testing.assert_allclose(predicted(kept), expected, atol=1e-5)
    said = "probabilities are p · q^0.6, with q of a second model that is part of this one (as_is, small)"
    assert any(said in line for line in lines) and said in (tmp_path / "mine" / "README.md").read_text()
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["format"] == 3 and str(place) not in json.dumps(config)


def test_of_a_product_its_classifier_alone_is_a_start_without_the_product_s_prior(
    weights, tmp_path, monkeypatch, capsys
):
    folder = trained(tmp_path / "a", settings(weights, product="start", seed=1))
    plain, known = stored_classifier(folder), stored.read_settings(folder)
    prior = {"scale": 0.4, "bias": [3.0, -1.0, 0.5], "ratio": [1.0, 2.0, 0.5]}
    monkeypatch.setattr(stored, "read_settings", lambda folder: known | {"adjustment": prior})
    capsys.readouterr()
    found = stored_classifier(folder)
    assert "is left out, and the prior that was estimated with it" in capsys.readouterr().out
    assert torch.equal(found.weight, plain.weight) and torch.equal(found.bias, plain.bias)


def test_a_product_with_a_model_that_is_one_itself(weights, tmp_path):
    first = trained(tmp_path / "a", settings(weights, product="start"))
    save_model(load_model(first), tmp_path / "first")
    folder = trained(tmp_path / "b", settings(product=str(tmp_path / "first"), seed=1))
    run_predicts_as_its_model(folder)
    alone = trained(tmp_path / "c", settings(seed=1))
    np.testing.assert_allclose(probs(folder), product(probs(alone), probs(first), 1.0), atol=1e-5)


@pytest.mark.skipif(OLD_TORCH, reason="it writes no ONNX")
def test_onnx_and_pt2_hold_both(weights, tmp_path):
    folder = trained(tmp_path / "a", settings(weights, product="start", views="flip", product_power=2.0))
    lines = export_model(load_model(folder), tmp_path / "mine", ("onnx", "pt2"), run_record(folder))
    assert sum("of the model's" in line for line in lines) == 2
    other = trained(tmp_path / "b", settings(weights, views="flip"))
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "mine" / "model.onnx")
    image = torch.rand(3, 3, 32, 32)
    given = {"image": image.numpy(), "landmarks": torch.zeros(3, 5, 2).numpy()}
    (found,) = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
    with torch.no_grad():
        alone, both = (load(f)(image, torch.zeros(3, 5, 2)).numpy() for f in (other, folder))
    np.testing.assert_allclose(found, both, atol=1e-4)
    assert np.abs(both - alone).max() > 0.02


@pytest.mark.parametrize("views", ["none", "flip"])
def test_on_frozen_features_it_is_what_the_classifier_has_said(views, weights, tmp_path):
    cell = settings(weights, views=views, product="start", product_power=0.8, method="source_only")
    faces = pair()
    frozen = freeze(cell, *faces, tmp_path / "features")
    folder = trained(tmp_path / "a", cell, domains=frozen)
    alone = trained(tmp_path / "b", resolve(cell.but(product="none", product_power=1.0)), domains=frozen)
    start = trained(tmp_path / "c", settings(weights, views=views, method="as_is"))
    np.testing.assert_allclose(probs(folder), product(probs(alone), probs(start), 0.8), atol=1e-4)
    quiet = [
        replace(d, **{p: replace(getattr(d, p), log_probs=None, views=()) for p in ("train", "test")}) for d in frozen
    ]
    with pytest.raises(UserError, match="product=start: these features come with no pretrained classifier's predict"):
        run_cell(cell, *quiet, tmp_path / "d", progress=False)


def test_as_is_stays_as_it_is(weights, tmp_path):
    plain, multiplied = (
        trained(tmp_path / str(power), settings(weights, method="as_is", **given))
        for power, given in ((0, {}), (1, {"product": "start"}))
    )
    np.testing.assert_array_equal(probs(plain), probs(multiplied))


def refused(weights=None, **values):
    with pytest.raises(UserError) as caught:
        make_adapter(settings(weights, **values), pair()[0], 3)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_can_t_multiply(weights, tmp_path):
    assert refused(product="start") == "product=start: give --pretrained, the weights that include a classifier"
    assert refused(product_power=2.0) == "product_power=2 has no effect with product=none"
    assert "unknown product 'begin'" in refused(product="begin")
    assert f"eval.product={tmp_path}: no model in this folder" in refused(product=str(tmp_path))
    assert "its classifier has 3 outputs" in refused(weights, product="start", pretrained_classes=("a", "b"))
    folder = trained(tmp_path / "a", settings(method="source_only"))
    assert "that model takes faces of 32 px, but this run has 48 px" in refused(product=str(folder), crop_px=48)
    with pytest.raises(UserError, match="has no class bus: it has car, dog, tree; use another model"):
        make_adapter(settings(product=str(folder)), pair(LabelSet(("car", "bus", "tree")))[0], 3)
    with pytest.raises(UserError, match=r"eval.product=.*: that model needs faces, and these are frozen features"):
        cell = settings(weights, product=str(folder))
        run_cell(cell, *freeze(cell, *pair(), tmp_path / "f"), tmp_path / "r", progress=False)


def test_a_table_has_one_product_and_the_report_says_it(weights, tmp_path):
    out = tmp_path / "a"
    for values in ({}, {"method": "as_is"}, {"method": "source_only"}):
        run_cell(settings(weights, product="start", product_power=0.5, **values), *pair(), out, progress=False)
    runs = all_runs(out).runs
    assert len({json.dumps(run.record["common"], sort_keys=True) for run in runs}) == 1
    other = RunFolder.of(out, settings(weights, product="start"), *pair())
    assert other.key not in {run.record["key"] for run in runs}
    write_grid(Grid.of_runs(runs), tmp_path / "page", None)
    said = "every trained cell are p · q^0.5, with the probabilities q of the pretrained classifier (eval.product)."
    assert said in (tmp_path / "page" / "report.md").read_text()


def test_it_is_known_by_its_content(tmp_path):
    other = trained(tmp_path / "o", settings(method="source_only"))
    save_model(load_model(other), tmp_path / "x")
    shutil.copytree(tmp_path / "x", tmp_path / "y")
    keys = [RunFolder.of(tmp_path, settings(product=str(tmp_path / n)), *pair()).key for n in ("x", "y")]
    assert keys[0] == keys[1] != RunFolder.of(tmp_path, settings(product=str(other)), *pair()).key


def test_a_start_from_such_a_model_takes_its_own_network(weights, tmp_path, capsys):
    folder = trained(tmp_path / "a", settings(weights, product="start", method="source_only"))
    alone = trained(tmp_path / "b", settings(weights, method="source_only"))
    capsys.readouterr()
    found = stored_classifier(folder)
    assert f"{folder}: the model that multiplies its predictions is left out" in capsys.readouterr().out
    assert torch.equal(found.weight, stored_classifier(alone).weight)


def test_predict_says_it_and_takes_other_views(weights, tmp_path, capsys):
    from PIL import Image
    from skimage.data import astronaut

    folder = trained(tmp_path / "a", settings(weights, product="start", views="flip"))
    model = load_model(folder)
    model.take_views("none")
    assert (model.views, model.product.model.views) == ("none", "none")
    Image.fromarray(astronaut()).save(tmp_path / "photo.jpg")
    assert main(["predict", "--model", str(folder), str(tmp_path / "photo.jpg"), "--views", "none"]) == 0
    assert "probabilities are p · q^1, with q of a second model" in capsys.readouterr().err


def test_two_models_that_rule_each_other_out(weights):
    """One is certain of a class, the other of another: a number comes out, not nan."""
    cell = settings(weights, product="start", method="source_only")
    adapter = make_adapter(cell, pair()[0], 3)
    for k, classifier in enumerate((adapter.models["C"], adapter.misc["product"].model.models["C"])):
        with torch.no_grad():
            classifier.bias.copy_(1e4 * torch.eye(3)[k])
    adapter.models.eval()
    found = other.predicted(adapter, pair()[1].test, cell).probs
    assert found.isfinite().all() and found.sum(1).allclose(torch.ones(9))


def test_damaged_settings(weights, tmp_path):
    folder = trained(tmp_path / "a", settings(weights, product="start"))
    save_model(load_model(folder), tmp_path / "mine")
    path = tmp_path / "mine" / "config.json"
    config = json.loads(path.read_text())
    bad = {"power": {"power": 0, "model": {}}, "not the settings of a": {"power": 1, "model": {}}}
    for message, given in bad.items():
        path.write_text(json.dumps({k: v for k, v in config.items() if k != "digest"} | {"product": given}))
        with pytest.raises(UserError) as caught:
            load(tmp_path / "mine")
        assert "\n" not in str(caught.value) and message in str(caught.value)
    assert "p · q^1" in model_card(run_record(folder), load_model(folder).settings)
