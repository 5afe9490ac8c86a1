"""A model's card and a grid's report name what the model was made from, and what that may have seen."""

import yaml
from made import random_faces
from made_models import record
from safetensors.torch import save_file

from pa_difc.backbones import make_backbone
from pa_difc.backbones.published import PUBLISHED, PublishedFile, PublishedWeights
from pa_difc.data import Domain
from pa_difc.data.labels import EXPRESSIONS, LabelSet
from pa_difc.deploy.card import model_card
from pa_difc.deploy.export import export_model, run_record
from pa_difc.deploy.model import load_model
from pa_difc.report.caveats import caveats
from pa_difc.report.run import Run
from pa_difc.training.model_settings import model_settings
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.files import file_sha256

LABELS = LabelSet(("car", "dog", "tree"))


def trained(out, method="source_only", **values):
    sets = [Domain(name, random_faces(12, i, num_classes=3), random_faces(9, i + 1, num_classes=3), LABELS)
            for i, name in ((0, "near"), (7, "far"))]  # fmt: skip
    chosen = {"crop_px": 32, "epochs": 1, "batch_size": 6, "loss": "ce", "method": method, **values}
    run_cell(resolve(Settings.of(**chosen)), *sets, out, progress=False)
    (folder,) = (out / "runs").iterdir()
    return folder


def exported(folder, out):
    export_model(load_model(folder), out, (), run_record(folder))
    return " ".join((out / "README.md").read_text().split())


def known_as(monkeypatch, name, path, classifier=""):
    file = PublishedFile("under another name", file_sha256(path)[:40])
    monkeypatch.setitem(PUBLISHED, name, PublishedWeights("small", (file,), "a shop", "ask them", "cars", classifier))


def weights_of(tmp_path):
    """A file of a network's weights, and beside it "theirs", the folder of another model."""
    exported(trained(tmp_path / "first"), tmp_path / "theirs")
    save_file(make_backbone("small").state_dict(), tmp_path / "kept.safetensors")
    return tmp_path / "kept.safetensors"


def test_a_run_without_other_weights_claims_none(tmp_path):
    card = exported(trained(tmp_path), tmp_path / "out")
    assert "started from" not in card and "may have seen" not in card


def test_weights_that_are_listed_are_named_with_origin_terms_and_what_they_may_have_seen(tmp_path, monkeypatch):
    kept = weights_of(tmp_path)
    known_as(monkeypatch, "of_cars", kept, "car, dog, tree")
    folder = trained(tmp_path / "second", pretrained=str(kept))
    card = exported(folder, tmp_path / "out")
    assert "started from the public weights of_cars (from a shop; terms: ask them; trained on cars)" in card
    assert f"`kept.safetensors`, sha256 {file_sha256(kept)}" in card
    (line,) = caveats([Run(folder, run_record(folder))])
    assert line.startswith("of_cars (trained on cars) may have seen faces of near or far in training") and line in card


def test_weights_that_know_no_classes_have_seen_no_labels(tmp_path, monkeypatch):
    kept = weights_of(tmp_path)
    known_as(monkeypatch, "of_people", kept)
    folder = trained(tmp_path / "second", pretrained=str(kept))
    card = exported(folder, tmp_path / "out")
    assert "the public weights of_people" in card and "may have seen" not in card
    assert caveats([Run(folder, run_record(folder))]) == []


def test_a_model_that_starts_from_a_model_names_all_of_its_origins(tmp_path):
    kept = weights_of(tmp_path)
    middle = trained(tmp_path / "second", pretrained=str(kept))
    exported(middle, tmp_path / "middle")
    first, theirs = (str(tmp_path / name) for name in ("middle", "theirs"))
    last = trained(tmp_path / "third", "mean_teacher", pretrained=first, teacher=theirs)
    card = exported(last, tmp_path / "out")
    assert (
        "started from the model middle (source_only + ce, toy_studio → toy_street; started from the weights kept.s"
        in card
    )
    assert (
        "taught by the model theirs (source_only + ce, toy_studio → toy_street)" in card and str(tmp_path) not in card
    )
    assert load_model(tmp_path / "out").settings["origins"][0]["model"]["origins"][0]["name"] == "kept.safetensors"


def test_of_a_run_that_recorded_no_origin_the_name_is_given():
    run = record(EXPRESSIONS, pretrained="/home/me/theirs.pth")
    card = model_card(run, model_settings(run))
    assert "started from the weights theirs.pth, of unknown origin, terms and training data" in card
    assert (
        "theirs.pth (whose training data is not known) may have seen faces of here" in card and "/home/me" not in card
    )


def test_the_hub_is_told_which_of_its_networks_a_model_started_from():
    for name, expected in (("timm:resnet18.tv_in1k", "timm/resnet18.tv_in1k"), ("timm:resnet18", None)):
        run = record(EXPRESSIONS, pretrained="hub", backbone=name)
        head = yaml.safe_load(model_card(run, model_settings(run)).split("---\n")[1])
        assert head.get("base_model") == expected
