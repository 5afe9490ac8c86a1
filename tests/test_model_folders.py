"""Folders of models: any number of classes, those of version 0.1, and what is refused in one line."""

import argparse
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_models import record
from PIL import Image
from safetensors.torch import save_file

from pa_difc.backbones import BACKBONES, make_backbone
from pa_difc.backbones.places import weights_file
from pa_difc.commands import adapt
from pa_difc.data.labels import EXPRESSIONS, VALENCE, LabelSet
from pa_difc.deploy.annotate import annotated
from pa_difc.deploy.card import model_card
from pa_difc.deploy.model import FaceModel, load_model, save_model
from pa_difc.deploy.prediction import Prediction, columns
from pa_difc.methods import METHODS
from pa_difc.methods.heads import classifier
from pa_difc.training.model_settings import checked, model_settings
from pa_difc.util.errors import ModelWarning, UserError
from pa_difc.util.files import file_digest

SETS = [
    LabelSet(("calm", "excited")),
    VALENCE,
    EXPRESSIONS,
    LabelSet(tuple(f"class {i}" for i in range(31))),
]


def faces(n=4):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, 32, 32, generator=generator), 32 * torch.rand(n, 5, 2, generator=generator)


def theirs(**options):
    """A plugin's backbone."""
    return make_backbone("small", **options)


def said(model):
    with torch.no_grad():
        return model.eval()(*faces())


@pytest.mark.parametrize("labels", SETS, ids=len)
def test_a_model_carries_its_classes(labels, tmp_path):
    model = FaceModel(model_settings(record(labels)))
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert again.labels == labels and again.classes == labels.names
    assert said(again).shape == (4, len(labels)) and torch.equal(said(again), said(model))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["format"] == 2 and "root" not in written["settings"]["data"]


def old_folder(folder, **changes):
    """A model folder as version 0.1 wrote it: MCD on the small backbone."""
    torch.manual_seed(3)
    backbone = make_backbone("small")
    heads = torch.nn.ModuleList(classifier(backbone.num_features, 7) for _ in range(2))
    weights = {f"models.G.{name}": value for name, value in backbone.state_dict().items()}
    template = FaceModel(model_settings(record(EXPRESSIONS)))
    names = [name for name in template.state_dict() if name.startswith("models.C.")]
    weights |= dict(zip(names, heads.state_dict().values(), strict=True))
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    config = {
        "source": "toy_studio", "target": "toy_street", "method": "mcd", "loss": "difc", "seed": 0, "epochs": 5,
        "backbone": "small", "backbone_head": "global_only", "local_head": "conv", "head": "linear", "scale": 1.0,
        "crop_px": 32, "batch_size": 32, "lr": 0.02, "adjust": "bbse", "weight": 1.0, "max_margin": 0.3,
        "class_weights": None, "estimate": "training",
    }  # fmt: skip
    settings = {
        "format": 1,
        "classes": ["surprise", "fear", "disgust", "happy", "sad", "anger", "neutral"],
        "input": {"size_px": 32, "crop": "cdfer", "prepared": True, "landmarks": False},
        "config": config,
        "adjustment": {"scale": 1.5, "bias": [0.1] * 7, "ratio": [2.0] + [0.5] * 6},
        "run": "abc",
        "versions": {"pa-difc": "0.1.0"},
        "weights": file_digest(folder / "model.safetensors"),
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return backbone, heads


def test_a_folder_of_version_0_1_predicts_what_it_did(tmp_path):
    backbone, heads = old_folder(tmp_path)
    model = load_model(tmp_path)
    assert model.labels == EXPRESSIONS and model.settings["format"] == 2
    assert model.settings["settings"]["run"]["prior_correction"] == "bbse"
    with torch.no_grad():
        features = backbone.eval()(type("F", (), dict(zip(("image", "landmarks"), faces(), strict=True)))())
        probs = sum(head(features).softmax(dim=1) for head in heads) / 2
        expected = probs**1.5 * torch.tensor([2.0] + [0.5] * 6)
    torch.testing.assert_close(said(model), expected / expected.sum(dim=1, keepdim=True))
    save_model(model, tmp_path / "new")  # it is written in the new format
    assert torch.equal(said(load_model(tmp_path / "new")), said(model))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 4}, "a model of format 4: this version reads formats 1 to 3; update pa-difc"),
        ({"format": "1"}, "a model of format '1'"),
        ({"format": None}, "not the settings of a model, which have a format: export the run again; other programs'"),
        ({"format": 2}, "labels is missing"),
        ({"classes": ["fear", "surprise", "disgust", "happy", "sad", "anger", "neutral"]}, "in their order"),
        ({"classes": ["calm", "excited"]}, "must be a list of 7"),
        ({"config": {"method": "mcd"}}, "config.source is missing"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_says_what_to_do(changes, words, tmp_path):
    old_folder(tmp_path, **changes)
    with pytest.raises(UserError) as refused:
        load_model(tmp_path)
    text = str(refused.value)
    assert words in text and "export the run again" in text and str(tmp_path) in text and "\n" not in text


@pytest.mark.parametrize(
    ("group", "values", "words"),
    [
        ("eval", {"views": "twist"}, "settings.eval.views is 'twist', must be one of 'none', 'flip', 'flip+scales'"),
        ("eval", {}, "settings.eval.views is missing"),
        ("eval", "flip", "settings.eval is 'flip', must be an object"),
        ("model", {"input_scale": 0}, "settings.model.input_scale is 0, must be a number"),
        ("model", {"input_scale": "0.9"}, "settings.model.input_scale is '0.9', must be a number"),
        ("model", {"input_scale": 90}, "settings.model.input_scale is 90, must be a number from 0.5 to 2"),
    ],
)
def test_views_and_scales_that_are_none_are_refused_in_one_line(group, values, words, tmp_path):
    save_model(FaceModel(model_settings(record(EXPRESSIONS))), tmp_path)
    settings = model_settings(record(EXPRESSIONS))
    before = settings["settings"].get(group, {})
    settings["settings"][group] = {**before, **values} if isinstance(values, dict) else values
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError) as refused:
        load_model(tmp_path)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "change"), [("method", {"method": "not_ours"}), ("backbone", {"backbone": "not_ours"})]
)
def test_a_plugin_s_model_says_that_it_needs_the_plugin(kind, change, tmp_path):
    save_model(FaceModel(model_settings(record(EXPRESSIONS))), tmp_path)
    settings = model_settings(record(EXPRESSIONS, **change))
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=rf"{kind} '\w+' is unknown: .*--plugin FILE\.py, or in Python import it"):
        load_model(tmp_path)


@pytest.mark.parametrize(("kind", "change"), [("method", {"method": "theirs"}), ("backbone", {"backbone": "theirs"})])
def test_code_that_was_edited_after_the_training_is_named(kind, change, tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS._loaded, "theirs", type("Theirs", (METHODS["dann"],), {"__module__": __name__}))
    monkeypatch.setitem(BACKBONES._loaded, "theirs", replace(BACKBONES["small"], build=theirs))
    registry = {"method": METHODS, "backbone": BACKBONES}[kind]
    for digest, warned in ((registry.digest("theirs"), 0), ("of before", 1)):
        run = record(EXPRESSIONS, **change) | {"identity": {"code": {kind: digest, "loss": "of another kind"}}}
        save_model(FaceModel(model_settings(run)), tmp_path / str(warned))
        other = model_settings(record(EXPRESSIONS)) | {"product": {"power": 2.0, "model": model_settings(run)}}
        save_model(FaceModel(other), tmp_path / f"in {warned}")  # a second model's code counts as well
        for folder in (tmp_path / str(warned), tmp_path / f"in {warned}"):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                load_model(folder)
            said = [str(one.message) for one in seen if issubclass(one.category, ModelWarning)]
            assert len(said) == warned and all(f"{kind} 'theirs': {__file__}, or a file" in line for line in said)


@pytest.mark.parametrize("labels", SETS, ids=len)
def test_a_card_names_the_classes_and_speaks_of_expressions_only_where_they_are(labels):
    run = record(labels)
    card = model_card(run, model_settings(run))
    assert f"A classifier of {len(labels)} classes: {labels.names[0]}, {labels.names[1]}" in card
    assert all(f"| {name} | 50.0 % |" in card for name in labels.names)
    assert ("not what the\nperson feels" in card) is (labels in (VALENCE, EXPRESSIONS)) and "seven" not in card


def test_a_card_says_what_the_network_is_shown_of_a_face():
    run = record(EXPRESSIONS, input_scale=0.9)
    run["settings"]["eval"] = {"views": "flip+scales"}
    card = model_card(run, model_settings(run))
    assert "shown each face at 0.9 times its size" in card and "mean over views of the face: flip+scales" in card
    for views in ({}, {"eval": {"views": "none"}}):
        run = record(EXPRESSIONS)
        run["settings"] |= views
        card = model_card(run, model_settings(run))
        assert "shown each face" not in card and "views of the face" not in card


@pytest.mark.parametrize(("k", "bars"), [(3, 3), (10, 10), (11, 8), (31, 8)])
def test_a_picture_shows_at_most_eight_bars_of_many_classes(k, bars):
    probs = np.full(k, 0.5 / k)
    probs[k - 1] += 0.5
    face = Prediction("a.jpg", (10.0, 10.0, 90.0, 90.0), np.full((5, 2), 50.0), probs)
    picture = np.array(annotated(Image.new("RGB", (320, 100), "gray"), [face], [f"class {i}" for i in range(k)]))
    beside = picture[:, 320:]
    best, others = (((beside == color).all(axis=2).any(axis=1)) for color in ([0xD5, 0x5E, 0], [0, 0x72, 0xB2]))
    rises = [int((np.diff(rows.astype(int)) == 1).sum()) for rows in (best, others)]
    assert rises == [1, bars - 1]


def test_a_class_may_have_the_name_of_another_column():
    face = Prediction("a.jpg", (1.0, 2.0, 3.0, 4.0), np.zeros((5, 2)), np.array([0.25, 0.75]))
    row = face.row(["left", "right"])
    assert (row["left"], row["class left"], row["label"]) == (1.0, 0.25, "right")
    assert len(set(columns(["left", "right"]))) == len(columns(["left", "right"])) and set(row) == set(
        columns(["left", "right"])
    )


@pytest.mark.parametrize(
    ("model", "views", "expected"), [({}, "none", 2), ({"input_scale": 0.9}, "none", 3), ({}, "flip", 3)]
)
def test_only_what_older_versions_would_misread_is_of_a_higher_format(model, views, expected):
    """They know neither views nor scales, and would predict without: other probabilities, and no error."""
    run = record(EXPRESSIONS, **{"input_scale": 1.0, **model})
    run["settings"]["eval"] = {"views": views}
    settings = model_settings(run)
    assert settings["format"] == expected and checked(settings)["format"] == expected
    assert FaceModel(settings).views == views
    assert model_settings(record(EXPRESSIONS))["format"] == 2


def test_a_folder_around_models_is_told_which_one_to_give(tmp_path):
    """As people give it: the --out of a command, a folder of such folders, or a file inside of a model."""

    def said(place, read=load_model):
        with pytest.raises(UserError) as error:
            read(place)
        return str(error.value)

    out, old = tmp_path / "runs" / "adapt", tmp_path / "runs" / "old"
    for place in (out / "runs" / "mcd-seed0", out / "runs" / "mcd-seed1", old / "runs" / "dann-seed0"):
        place.mkdir(parents=True)
        (place / "record.json").write_text("{}")
    assert f"{old}: no model here: give {old / 'runs' / 'dann-seed0'}" == said(old)
    assert said(out) == f"{out}: no model here: 2 are below it; give one, such as {out / 'runs' / 'mcd-seed0'}"
    save_model(FaceModel(model_settings(record(VALENCE))), out / "model")
    for read, what in ((load_model, "model"), (weights_file, "weights")):  # the second one is --pretrained's
        assert said(out, read) == f"{out}: no {what} here: give {out / 'model'}"
        assert said(out.parent, read) == f"{out.parent}: no {what} here: give {out / 'model'}"
    file = out / "model" / "model.safetensors"
    assert said(file) == f"{file}: no model here: give its folder, {out / 'model'}"
    assert "looked for config.json" in said(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("files", "given", "words"),
    [
        (["face_expression_model-weights_manifest.json", "face_expression_model.bin"], ".", "--pretrained {}"),
        (["resnet18-f37072fd.pth", "README.md"], ".", "--pretrained {}/resnet18-f37072fd.pth --backbone resnet18"),
        (["theirs.safetensors"], "theirs.safetensors", "--pretrained {}/theirs.safetensors --backbone NAME"),
    ],
)
def test_where_weights_are_given_for_a_model_the_error_says_how_to_make_one(files, given, words, tmp_path):
    for name in files:
        (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(UserError) as error:
        load_model(tmp_path / given)
    line = str(error.value)
    assert line.count("\n") == 0 and words.format(tmp_path) in line and "without one, give a labelled --source" in line
    command = line.split("`")[1]
    assert command.split()[:2] == ["pa-difc", "adapt"]
    parser = argparse.ArgumentParser()
    adapt.arguments(parser)
    chosen = parser.parse_args(command.split()[2:])
    assert chosen.source == "none" and f"{chosen.out}/model" in line


def test_a_folder_without_weights_has_no_advice_on_them(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"no model here \(looked for config\.json"):
        load_model(tmp_path)
