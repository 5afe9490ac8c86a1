"""Runs whose classifiers start as a pretrained one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made import TRAINED, settings_given
from safetensors.torch import load_file, save_file

from pa_difc.backbones import make_backbone
from pa_difc.data.features import FeatureSet
from pa_difc.data.labels import VALENCE
from pa_difc.data.loaders import EvalLoader
from pa_difc.evaluation.inference import predict
from pa_difc.methods import METHODS
from pa_difc.training.build import make_adapter
from pa_difc.training.frozen import network_settings
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import comparable, resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.training.start import for_samples
from pa_difc.util.errors import UserError

#: Eight classes in words of their own, and the same in those of the label sets.
WORDS = ("sad", "happy", "contempt", "fearful", "angry", "surprised", "neutral", "disgusted")
PLAIN = ("sad", "happy", "contempt", "fear", "anger", "surprise", "neutral", "disgust")
CLASSIFIERS = {"mcd": 2, "mcd_onestep": 2, "swd": 2, "mdd": 2}


@pytest.fixture
def weights(tmp_path):
    """A small network with a classifier of eight classes, as another program would have saved it."""
    torch.manual_seed(5)
    state = make_backbone("small").state_dict()
    state |= {"fc.weight": torch.randn(8, 128) * 0.2, "fc.bias": torch.randn(8)}
    save_file(state, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def settings(weights, **values):
    given = {"crop_px": 32, "pretrained": str(weights), "pretrained_classes": WORDS, "loss": "ce", "epochs": 1}
    return resolve(Settings.of(**given | values))


def rows(weights, names):
    state, order = load_file(weights), [PLAIN.index(name) for name in names]
    return state["fc.weight"][order], state["fc.bias"][order]


def classifiers(adapter):
    models = [model for name, model in adapter.models.items() if name.startswith("C")]
    return [module for model in models for module in model.modules() if isinstance(module, torch.nn.Linear)]


@pytest.mark.parametrize("method", [m for m in TRAINED if not METHODS[m].needs_regions])
def test_every_classifier_of_every_method_starts_as_the_pretrained_one(method, weights, source):
    made = classifiers(make_adapter(settings(weights, method=method), source, 3))
    weight, bias = rows(weights, source.label_set.names)
    assert torch.equal(made[0].weight, weight) and torch.equal(made[0].bias, bias)
    assert len(made) == CLASSIFIERS.get(method, 1)
    for further in made[1:]:  # equal ones would never disagree
        assert 0.09 < (further.weight - weight).std() / weight.std() < 0.11
        assert torch.equal(further.bias, bias)


def test_predictions_are_those_of_the_weights_whatever_the_scale(weights, source):
    network = make_backbone("small")
    network.load_state_dict(load_file(weights), strict=False)
    network.eval()
    weight, bias = rows(weights, source.label_set.names)
    with torch.no_grad():
        faces = next(iter(EvalLoader(source.test)))
        expected = torch.nn.functional.linear(network(faces), weight, bias).softmax(dim=1)
    for values in ({}, {"scale": 4.0}, {"classifier": "linear", "scale": 0.5, "method": "safn"}):
        found = predict(make_adapter(settings(weights, **values), source, 3), EvalLoader(source.test), domain=0).probs
        if values.get("method", "mcd") == "safn":
            torch.testing.assert_close(found, expected)
        else:  # the mean over it and one with noise
            assert 0 < (found - expected).abs().max() < 0.3


def test_the_noise_is_the_seed_s(weights, source):
    second = [classifiers(make_adapter(settings(weights, seed=seed), source, 3))[1].weight for seed in (0, 0, 1)]
    assert torch.equal(second[0], second[1]) and not torch.equal(second[0], second[2])


def test_what_comes_after_the_classifiers_is_drawn_as_without(weights, source):
    """Where classifiers start changes no other weight: the discriminator of a seed stays the same."""
    drawn = [
        make_adapter(settings(weights, method="dann", **values), source, 3).models["D"].state_dict()
        for values in ({}, {"head_init": "random", "pretrained_classes": None})
    ]
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())


def test_a_filled_classifier_is_not_new(weights, source):
    changed = {"new_lr_multiplier": 10.0, "method": "source_only"}
    for head_init, factor in (("pretrained", 1.0), ("random", 10.0)):
        classes = WORDS if head_init == "pretrained" else None
        cell = settings(weights, head_init=head_init, pretrained_classes=classes, lr=0.01, **changed)
        groups = make_adapter(cell, source, 3).optimizers["C"].param_groups
        assert [group["initial_lr"] for group in groups] == pytest.approx([0.01 * factor])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"backbone": "expression", "pretrained": "w.json"}, "pretrained"),
        ({"backbone": "expression"}, "random"),
        ({"backbone": "expression", "pretrained": "w.json", "loss": "cosface"}, "random"),
        ({"backbone": "expression", "pretrained": "w.json", "classifier": "cosine"}, "random"),
        ({"backbone": "expression", "pretrained": "w.json", "feature_head": "global_local"}, "random"),
        ({"backbone": "expression", "pretrained": "w.json", "method": "agra"}, "random"),
        ({"backbone": "small", "pretrained": "w.pt"}, "random"),
        ({"backbone": "small", "pretrained": "w.pt", "pretrained_classes": WORDS}, "pretrained"),
        ({"backbone": "small", "pretrained": "w.pt", "pretrained_classes": WORDS, "loss": "cosface"}, "random"),
        ({"backbone": "small"}, "random"),
    ],
)
def test_what_follows_where_nothing_is_said(values, expected):
    resolved = resolve(Settings.of(**{"loss": "ce", **values}))
    assert resolved.model.head_init == expected and "model.head_init" in resolved.follows
    again = resolve(resolved.but(**{"model.pretrained": None, "model.pretrained_classes": None}))
    assert again.model.head_init == "random"


def test_what_a_loss_brings_along_stays_in_one_table():
    base = {"backbone": "expression", "pretrained": "w.json"}
    a, b = (resolve(Settings.of(**base, loss=loss)) for loss in ("ce", "cosface"))
    assert (a.model.head_init, b.model.head_init) == ("pretrained", "random")
    assert comparable(a) == comparable(b)
    assert comparable(resolve(Settings.of(**base, loss="ce", head_init="random"))) != comparable(a)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pretrained": None}, "head_init=pretrained: give --pretrained, the weights that include a classifier"),
        ({"loss": "arcface"}, "head_init=pretrained: a cosine classifier can't start from a linear one"),
        ({"head_init": "random"}, "pretrained_classes has no effect with head_init=random"),
        ({"head_init": None, "pretrained": None}, "pretrained_classes has no effect without --pretrained"),
        (
            {"method": "agra", "backbone": "expression", "crop_px": 112},
            "head_init=pretrained: agra classifies regions of faces, not their features",
        ),
        ({"head_init": "zero"}, "unknown head init 'zero': valid: pretrained, random"),
    ],
)
def test_settings_that_make_no_sense(values, message, weights):
    with pytest.raises(UserError) as caught:
        settings(weights, **{"head_init": "pretrained", **values})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pretrained_classes": None, "head_init": "pretrained"}, r"small\.safetensors are not known: name them"),
        ({"pretrained_classes": WORDS[:7]}, r"its classifier has 8 outputs, but there are 7 class names \(sad, hap"),
        ({"pretrained_classes": (*WORDS[:7], "ennui")}, r"has no class disgust: it has sad, happy"),
        ({"feature_head": "global_local", "crop_px": 48}, r"takes 128 features, and the method's classifier 384: use"),
    ],
)
def test_weights_that_do_not_fit(values, message, weights, source):
    values = {"head_init": "pretrained", **values}
    with pytest.raises(UserError, match=message) as caught:
        make_adapter(settings(weights, **values), source, 3)
    assert "\n" not in str(caught.value)


def test_classes_that_are_left_out_are_said(weights, source, capsys):
    make_adapter(settings(weights), source, 3)
    assert "small.safetensors has classes that are left out: contempt\n" in capsys.readouterr().out


def test_fewer_classes(weights, source):
    """Three of the eight, under names of another set."""
    labels = replace(
        VALENCE, names=("negative", "neutral", "positive"), synonyms={"sad": "negative", "happy": "positive"}
    )
    few = replace(source, label_set=labels, **{
        part: replace(getattr(source, part), labels=getattr(source, part).labels % 3) for part in ("train", "test")
    })  # fmt: skip
    with pytest.raises(UserError, match=r"5 classes that are all 'negative'|4 classes that are all 'negative'"):
        make_adapter(settings(weights), replace(few, label_set=VALENCE), 3)
    labels = replace(labels, excluded=("fear", "anger", "disgust", "contempt", "surprise"))
    made = classifiers(make_adapter(settings(weights), replace(few, label_set=labels), 3))
    assert torch.equal(made[0].weight, rows(weights, ("sad", "neutral", "happy"))[0])


def test_on_frozen_features_classifiers_start_random(weights, source, target):
    domains = [
        replace(d, features_of="k", **{
            part: FeatureSet(np.random.default_rng(0).normal(size=(len(getattr(d, part)), 9)).astype(np.float32),
                             getattr(d, part).labels, getattr(d, part).names) for part in ("train", "test")
        }) for d in (source, target)
    ]  # fmt: skip
    follows = settings(weights)
    assert for_samples(follows, domains[0]).model.head_init == "random"
    assert for_samples(follows, source).model.head_init == "pretrained"
    classifiers(make_adapter(follows, domains[0], 3))
    with pytest.raises(UserError, match="on frozen features a new layer precedes the classifier; train on faces"):
        make_adapter(settings(weights, head_init="pretrained"), domains[0], 3)
    assert network_settings(follows).model.head_init == "random"


def test_resumed_to_the_bit(weights, source, target, tmp_path):
    """A run that is stopped and goes on has other classifiers than one that only begins: not the start, with noise."""
    from pa_difc.training.build import make_loader
    from pa_difc.training.engine import fit

    cell = settings(weights, method="mcd", loss="difc", epochs=2, batch_size=16)
    ends = []
    for folder, stops in ((None, [2]), (tmp_path, [1, 2])):
        for epochs in stops:
            loader = make_loader(cell, source, target)
            adapter = make_adapter(cell, source, len(loader))
            fit(adapter, loader, epochs=epochs, folder=folder, key="k", progress=False)
        ends.append(adapter.models.state_dict())
    for name, state in ends[0].items():
        assert all(torch.equal(value, ends[1][name][key]) for key, value in state.items()), name


def test_a_run_starts_from_it_and_says_so(weights, source, target, tmp_path):
    record = run_cell(settings(weights, lr=1e-9, method="dann"), source, target, tmp_path, progress=False)
    assert record["settings"]["model"]["head_init"] == "pretrained"
    again = settings_given("--method", "dann", "--loss", "ce", "--config", next(tmp_path.glob("runs/*/settings.toml")))
    assert again.model.pretrained_classes == WORDS and "model.head_init" in again.follows
    assert RunFolder.of(tmp_path, again, source, target).key == record["key"]
    other = settings(weights, lr=1e-9, method="dann", head_init="random", pretrained_classes=None)
    assert RunFolder.of(tmp_path, other, source, target).key != record["key"]
