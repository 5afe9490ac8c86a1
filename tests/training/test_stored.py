"""Runs that start from a folder of ours: a run's, or one that export wrote."""

import json

import pytest
import torch
from made import JOINED, TRAINED, random_faces

from pa_difc.data import Domain
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model, save_model
from pa_difc.deploy.model import load_model as load
from pa_difc.methods import METHODS, SourceOnly
from pa_difc.training.build import make_adapter
from pa_difc.training.identity import weights_digest
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.training.stored import stored_classifier
from pa_difc.util.errors import UserError

LABELS = LabelSet(("car", "dog", "tree"))
OTHER_ORDER = LabelSet(("tree", "car", "dog"))
#: Methods that predict with more than a linear classifier of G's features.
OTHERWISE = {"agra"}


def pair(labels=LABELS):
    sets = [Domain(n, random_faces(12, i, num_classes=3), random_faces(9, i + 1, num_classes=3), labels)
            for i, n in ((0, "s"), (7, "t"))]  # fmt: skip
    return sets


def settings(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 6, "loss": "ce", **values}))


def trained(out, **values):
    """The folder of a run that has been trained a little."""
    run_cell(settings(**values), *pair(), out, progress=False)
    (folder,) = (out / "runs").iterdir()
    return folder


def as_is(folder, out, labels=LABELS, **values):
    """Predictions of the folder's classifier for images, through a run of as_is."""
    run_cell(settings(method="as_is", pretrained=str(folder), **values), *pair(labels), out, progress=False)
    (made,) = (out / "runs").iterdir()
    return load(made)(*faces())


def faces():
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(3)), torch.full((5, 5, 2), torch.nan)


@pytest.mark.parametrize("values", [{}, {"scale": 5.0}, {"method": "safn"}, {"prior_correction": "bbse"}])
def test_as_is_of_a_run_and_of_its_export_predicts_as_the_model_does(values, tmp_path):
    folder = trained(tmp_path / "a", **{"method": "source_only", **values})
    save_model(load_model(folder), tmp_path / "exported")
    expected = load(folder)(*faces())
    for place, out in ((folder, tmp_path / "b"), (tmp_path / "exported", tmp_path / "c")):
        torch.testing.assert_close(as_is(place, out), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(as_is(folder, tmp_path / "d", OTHER_ORDER), expected[:, [2, 0, 1]], rtol=1e-4, atol=1e-5)


def test_a_corrected_prior_is_part_of_the_classifier(tmp_path):
    folder = trained(tmp_path, method="source_only", scale=2.0)
    model = load_model(folder)
    model.settings["adjustment"] = {"scale": 1.5, "bias": [0.4, -0.2, 0.0], "ratio": [2.0, 0.5, 0.5]}
    save_model(model, tmp_path / "exported")
    expected = load(tmp_path / "exported")(*faces())
    assert (expected - load(folder)(*faces())).abs().max() > 0.05
    torch.testing.assert_close(as_is(tmp_path / "exported", tmp_path / "c"), expected, rtol=1e-4, atol=1e-5)


def test_of_two_classifiers_it_is_the_mean(tmp_path):
    folder = trained(tmp_path / "a", method="mcd", lr=0.1)
    model = load_model(folder)
    first, second = (linear for linear in model.models["C"].modules() if isinstance(linear, torch.nn.Linear))
    found = stored_classifier(folder)
    torch.testing.assert_close(found.weight, (first.weight + second.weight).detach() / 2)
    torch.testing.assert_close(found.bias, (first.bias + second.bias).detach() / 2)


@pytest.mark.parametrize("method", [m for m in (*TRAINED, *JOINED) if m not in OTHERWISE])
def test_every_method_leaves_a_classifier_to_start_from(method, tmp_path):
    folder = trained(tmp_path, method=method)
    adapter = make_adapter(settings(method="source_only", pretrained=str(folder)), pair()[0], 2)
    assert torch.equal(adapter.models["C"].weight, stored_classifier(folder).weight)
    kept = load_model(folder).models["G"].state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in adapter.models["G"].state_dict().items())


def test_another_run_s_checkpoint_is_refused(tmp_path):
    folder, other = trained(tmp_path / "a", method="source_only"), trained(tmp_path / "b", method="source_only", seed=1)
    (folder / "checkpoint.pt").write_bytes((other / "checkpoint.pt").read_bytes())
    with pytest.raises(UserError) as caught:
        load_model(folder)
    keys = [place.name.rpartition("-")[2] for place in (other, folder)]
    assert f"is of another run ({keys[0]}, not {keys[1]})" in str(caught.value) and "\n" not in str(caught.value)


def test_it_is_the_default_with_a_folder_alone(tmp_path):
    folder = trained(tmp_path, method="source_only")
    assert settings(pretrained=str(folder)).model.head_init == "pretrained"
    assert settings(pretrained=str(folder), loss="cosface").model.head_init == "random"
    landmarks = {"feature_head": "global_local", "crop_px": 48}
    assert settings(pretrained=str(folder), **landmarks).model.head_init == "random"  # other features
    assert settings(pretrained=str(folder), method="agra", crop_px=48).model.head_init == "random"
    with_landmarks = trained(tmp_path / "l", method="source_only", **landmarks)
    assert settings(pretrained=str(with_landmarks), **landmarks).model.head_init == "pretrained"
    assert settings(pretrained=str(with_landmarks)).model.head_init == "random"
    assert settings(pretrained=str(folder / "checkpoint.pt")).model.head_init == "random"


def test_the_identity_is_that_of_the_weights(tmp_path):
    folder = trained(tmp_path / "a", method="source_only")
    save_model(load_model(folder), tmp_path / "exported")
    before = weights_digest(settings(pretrained=str(tmp_path / "exported")))
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "exported").rename(tmp_path / "moved")
    assert weights_digest(settings(pretrained=str(tmp_path / "moved"))) == before
    other = trained(tmp_path / "b", method="source_only", seed=1)
    assert weights_digest(settings(pretrained=str(tmp_path / "elsewhere"))) != weights_digest(
        settings(pretrained=str(other))
    )


def refused(folder, **values):
    with pytest.raises(UserError) as caught:
        make_adapter(settings(pretrained=str(folder), **values), pair()[0], 2)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_backbone(tmp_path):
    folder = trained(tmp_path, method="source_only")
    said = refused(folder, backbone="mobilefacenet", crop_px=112, feature_head="global_only")
    assert said == f"{folder} has the backbone small, not mobilefacenet: use the same, with the same options"


def test_other_classes(tmp_path):
    folder = trained(tmp_path, method="source_only")
    with pytest.raises(UserError, match=r"has no class bus: it has car, dog, tree"):
        make_adapter(settings(pretrained=str(folder)), pair(LabelSet(("car", "bus", "tree")))[0], 2)
    assert "pretrained_classes has no effect with" in refused(folder, pretrained_classes=("a", "b", "c"))


def test_a_cosine_classifier_and_one_that_is_not_linear(tmp_path, monkeypatch):
    class Deep(SourceOnly):
        @classmethod
        def heads(cls, num_features, num_classes, make=None, options=None):
            layers = torch.nn.Linear(num_features, 9), torch.nn.ReLU(), torch.nn.Linear(9, num_classes)
            return {"C": torch.nn.Sequential(*layers)}

    monkeypatch.setitem(METHODS, "deep", Deep)
    cosine = trained(tmp_path / "a", method="source_only", classifier="cosine")
    assert f"{cosine}: its classifier is not linear in the features" in refused(cosine, head_init="pretrained")
    assert f"{cosine}: its classifier is not linear in the features" in refused(cosine, method="as_is")
    deep = trained(tmp_path / "b", method="deep")
    assert f"{deep}: its method has a classifier of its own; use head_init=random" in refused(
        deep, head_init="pretrained"
    )
    make_adapter(settings(pretrained=str(deep), head_init="random"), pair()[0], 2)


def test_damaged_folders(tmp_path):
    folder = trained(tmp_path / "a", method="source_only")
    save_model(load_model(folder), tmp_path / "exported")
    weights = tmp_path / "exported" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-9])
    assert f"cannot read {weights}" in refused(tmp_path / "exported")
    weights.write_bytes(content[:-1] + b"x")
    assert "does not belong to its config.json" in refused(tmp_path / "exported")
    (folder / "checkpoint.pt").write_bytes(b"x")
    assert "checkpoint.pt is damaged" in refused(folder)
    (folder / "checkpoint.pt").unlink()
    assert "checkpoint.pt is missing: remove record.json and train the run again" in refused(folder)
    (tmp_path / "exported" / "config.json").write_text(json.dumps({"format": 9}))
    assert "this version reads formats" in refused(tmp_path / "exported")
    (tmp_path / "empty").mkdir()
    assert "no weights here" in refused(tmp_path / "empty")


def rewritten(folder, change):
    """A run's folder whose checkpoint has been changed."""
    path = folder / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def swapped(state):
    average = state["misc"]["average"]
    average["models.C.weight"] = average["models.C.weight"].T.contiguous()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["misc"].pop("average"), "its averaged weights are not those of its models"),
        (lambda s: s["misc"]["average"].pop("models.C.bias"), "its averaged weights are not those of its models"),
        (lambda s: s["misc"]["average"].update({"models.D.x": torch.ones(1)}), "its averaged weights are not those"),
        (swapped, "its averaged weights are not those of its models"),
        (lambda s: s["misc"]["average"].update({"models.C.bias": [1.0]}), "it has no weights of models"),
        (lambda s: s["misc"].update({"average": 3}), "it has no weights of models"),
        (lambda s: s.pop("misc"), "it has no weights of models"),
        (lambda s: s["models"]["C"].update({"bias": "x"}), "it has no weights of models"),
        (lambda s: s["misc"].update({"product": {"model.models.C.bias": torch.ones(1)}}), "the model that multiplies"),
    ],
)
def test_a_checkpoint_whose_averages_are_not_its_models_is_refused(change, said, tmp_path):
    """A part of them would be mixed with weights that were not averaged."""
    folder = trained(tmp_path, method="dann", ema=0.5)
    load_model(folder)
    rewritten(folder, change)
    for read in (load_model, stored_classifier):
        with pytest.raises(UserError, match=said) as caught:
            read(folder)
        assert "\n" not in str(caught.value)


def test_averages_that_a_run_did_not_ask_for_are_refused(tmp_path):
    folder = trained(tmp_path, method="source_only")
    rewritten(folder, lambda s: s["misc"].update({"average": {"models.C.bias": s["models"]["C"]["bias"]}}))
    with pytest.raises(UserError, match="its averaged weights are not those of its models"):
        load_model(folder)
