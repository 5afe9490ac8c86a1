"""Adapting without a source: ``--source none``."""

import json

import numpy as np
import pytest
import torch
from made import class_folders, classifier_weights, random_faces
from PIL import Image

from pa_difc.commands.parser import main
from pa_difc.data import Domain, PairLoader
from pa_difc.data.domains import no_source
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model as load
from pa_difc.training.build import load_pair, make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

CLASSES = ("tree", "car", "dog")
LABELS = LabelSet(("car", "dog", "tree"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return classifier_weights(tmp_path_factory.mktemp("weights") / "net.safetensors", bias=False)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with labelled faces, unlabelled ones, and a label file."""
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "faces", CLASSES, 0, 12)
    (tmp_path / "holiday").mkdir()
    rng = np.random.default_rng(0)
    for i in range(14):
        Image.fromarray(rng.integers(0, 255, (32, 32)).astype(np.uint8)).save(tmp_path / "holiday" / f"{i}.png")
    (tmp_path / "labels.toml").write_text('names = ["car", "dog", "tree"]\n')
    return tmp_path


def settings(weights, **values):
    given = {"method": "source_free", "loss": "ce", "crop_px": 32, "epochs": 2, "batch_size": 6, "source": "none"}
    given |= {"pretrained": str(weights), "pretrained_classes": CLASSES}
    return resolve(Settings.of(**given | values))


def domain(seed):
    return Domain("t", random_faces(17, seed, num_classes=3), random_faces(9, seed + 1, num_classes=3), LABELS)


def test_training_is_what_it_is_beside_a_source_that_is_not_looked_at(weights, tmp_path):
    """A source of fewer faces than the target changes no number."""
    target, few = domain(5), Domain("s", random_faces(5, 1, num_classes=3), random_faces(5, 2, num_classes=3), LABELS)
    ends = []
    for source in (no_source(target), few):
        record = run_cell(settings(weights), source, target, tmp_path / source.name, progress=False)
        ends.append(([h["losses"] for h in record["history"]], record["scores"]["target"]))
    assert ends[0] == ends[1]


def test_a_record_has_no_source_scores(weights, tmp_path):
    target = domain(5)
    record = run_cell(settings(weights), no_source(target), target, tmp_path, progress=False)
    assert set(record["scores"]) == {"target"} and set(record["model"]["mean_feature_norm"]) == {"target"}
    assert record["data"]["source"]["name"] == "none" and sum(record["data"]["source"]["train_counts"]) == 0
    again = run_cell(settings(weights), no_source(target), target, tmp_path, progress=False)
    assert again["finished"] == record["finished"]
    (folder,) = (tmp_path / "runs").iterdir()
    damaged = json.loads((folder / "record.json").read_text())
    del damaged["digest"]
    damaged["settings"]["data"]["source"] = "faces"
    (folder / "record.json").write_text(json.dumps(damaged))
    with pytest.raises(UserError, match=r"scores\.source is missing"):
        load(folder)


def test_resumed_to_the_bit(weights, tmp_path):
    target, ends = domain(5), []
    cell = settings(weights, epochs=3, ema=0.9)
    for folder, stops in ((None, [3]), (tmp_path, [1, 3])):
        for epochs in stops:
            loader = make_loader(cell, no_source(target), target)
            adapter = make_adapter(cell, no_source(target), len(loader))
            fit(adapter, loader, epochs=epochs, folder=folder, key="k", progress=False)
        ends.append(adapter.models.state_dict())
    for name, state in ends[0].items():
        assert all(torch.equal(value, ends[1][name][key]) for key, value in state.items()), name


def test_batches_have_nothing_of_a_source_and_the_target_s_length():
    target = domain(3).train
    alone, pair = PairLoader(None, target, batch_size=6), PairLoader(domain(0).train, target, batch_size=6)
    assert len(alone) == 3
    for one, both in zip(alone.epoch(1), pair.epoch(1), strict=True):
        assert not any(key.startswith("src") for key in one)
        assert torch.equal(one["target_imgs"].image, both["target_imgs"].image)
        assert torch.equal(one["target_domain"], both["target_domain"])


@pytest.mark.parametrize("labelled", [True, False])
def test_on_the_command_line(labelled, weights, home, capsys):
    target = "folder:faces" if labelled else "images:holiday"
    words = (
        f"compare --source none --target {target} --data-root . --labels labels.toml --epochs 1 --pretrained {weights}"
    )
    words += " --methods as_is source_free --out runs"
    given = f"--set crop_px=32 batch_size=6 pretrained_classes={','.join(CLASSES)}"
    assert main([*words.split(), *given.split()]) == 0
    out = capsys.readouterr().out
    assert f"none → {target}\n  source  none: adapting to the target alone" in out
    assert main(["report", "runs"]) == 0
    page = (home / "runs" / "report" / "report.md").read_text()
    if labelled:
        assert "Adapting to the target alone" in page and "Training on" not in page
    assert "source recall" not in page and "src_macro" not in page
    assert labelled or ("among 2 cells" in page and "chosen by consensus (mean rank by class_ami and ensv):" in page)
    (run,) = (home / "runs" / "runs").glob("source_free-*")
    assert main(["export", "--model", str(run), "--out", "mine"]) == 0
    card = (home / "mine" / "README.md").read_text()
    assert "labelled: none" not in card and f"unlabelled: {target}" in card
    alone = words.replace("compare", "train").partition(" --methods")[0]
    assert main([*alone.split(), "--method", "source_free", *given.split(), "--out", "one"]) == 0


def test_adapt_without_a_source(weights, home, capsys):
    words = (
        f"adapt --source none --target images:holiday --data-root . --labels labels.toml --pretrained {weights} --out a"
    )
    given = f"--budget 60s --backbone small --set crop_px=32 batch_size=6 pretrained_classes={','.join(CLASSES)}"
    assert main([*words.split(), *given.split()]) == 0
    out = capsys.readouterr().out
    assert "decided: 2 cells" in out and "chosen without labels: " in out
    assert "source recall" not in out and "The two cells agree on " in out
    assert {p.name.partition("-")[0] for p in (home / "a" / "runs").iterdir()} == {"as_is", "source_free"}
    assert (home / "a" / "model" / "config.json").exists()
    with pytest.raises(UserError, match="--source none: give --pretrained, weights that include a classifier"):
        main(["adapt", "--source", "none", "--target", "images:holiday", "--data-root", "."])


def refused(weights, **values):
    with pytest.raises(UserError) as caught:
        settings(weights, **values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_needs_a_source_says_so(weights, home):
    assert refused(weights, method="mcd") == (
        "source=none: method mcd learns from a labelled source; name one, or use source_free or as_is"
    )
    assert "prior_correction=bbse: needs a source, and there is none" in refused(weights, prior_correction="bbse")
    assert "sampler=class_balanced: needs a source" in refused(weights, sampler="class_balanced")
    with pytest.raises(
        UserError, match="--labels folders: without a source there are no class folders; name a label set"
    ):
        load_pair(settings(weights, labels="folders", target="folder:faces", root="."))
    words = f"compare --source none --target folder:faces --data-root . --labels labels.toml --pretrained {weights}"
    given = f"--methods as_is --features frozen --set crop_px=32 pretrained_classes={','.join(CLASSES)}"
    with pytest.raises(UserError, match="--features frozen: heads on features need a source to train on"):
        main([*words.split(), *given.split()])
