"""Self-training by another run or model: ``teacher=PATH``."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from made import class_folders, random_faces

from pa_difc.commands.parser import main
from pa_difc.data import Domain
from pa_difc.data.faces import Face
from pa_difc.data.features import FeatureSet
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model, save_model
from pa_difc.deploy.model import load_model as load
from pa_difc.training.build import check_landmarks, make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import comparable, resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

LABELS = LabelSet(("car", "dog", "tree"))
OTHER_ORDER = LabelSet(("tree", "car", "dog"))


def pair(labels=LABELS, size_px=32, classes=3):
    return [Domain(n, *(random_faces(k, i, size_px, num_classes=classes) for k, i in ((14, s), (9, s + 1))), labels)
            for s, n in ((0, "s"), (7, "t"))]  # fmt: skip


def settings(**values):
    given = {"crop_px": 32, "epochs": 1, "batch_size": 6, "loss": "ce", "method": "mean_teacher"}
    return resolve(Settings.of(**given | values))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose classes come in another order, and that predicts over mirror images."""
    out = tmp_path_factory.mktemp("other")
    cell = settings(method="source_only", epochs=2, **{"eval.views": "flip"})
    run_cell(cell, *pair(OTHER_ORDER), out, progress=False)
    (found,) = (out / "runs").iterdir()
    return found


def mean_guess(cell, folder):
    """The mean of what a teacher says of a batch, as the student's running mean has it, and what the model says."""
    source, target = pair()
    adapter, batch = make_adapter(cell, source, 3), next(make_loader(cell, source, target).epoch(0, strong=1))
    adapter.models.train()
    adapter.training_step(batch)
    model, faces = load(folder), batch["target_imgs"]
    with torch.no_grad():
        said = model(faces.image, faces.landmarks)
    assert model.classes == ("tree", "car", "dog")
    return adapter.teaching.loss.mean, said[:, [1, 2, 0]].double().mean(0)


@pytest.mark.parametrize("method", ["mean_teacher", "mcd+adamatch"])
def test_the_guesses_are_that_model_s_under_the_student_s_classes(method, folder):
    found, expected = mean_guess(settings(method=method, teacher=str(folder)), folder)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert (expected - expected.flip(0)).abs().max() > 1e-3


def test_an_exported_model_teaches_as_its_run_does(folder, tmp_path):
    save_model(load_model(folder), tmp_path / "mine")
    found, expected = (mean_guess(settings(teacher=str(f)), folder) for f in (tmp_path / "mine", folder))
    torch.testing.assert_close(found[0], expected[0])


def test_classes_that_the_student_does_not_have_are_left_out(tmp_path):
    labels = LabelSet(("car", "bus", "tree", "dog"))
    run_cell(settings(method="source_only"), *pair(labels, classes=4), tmp_path, progress=False)
    (folder,) = (tmp_path / "runs").iterdir()
    made = make_adapter(settings(teacher=str(folder)), pair()[0], 3)
    faces = Face(torch.rand(5, 3, 32, 32), torch.zeros(5, 5, 2))
    said = load(folder)(*faces)[:, [0, 3, 2]]
    torch.testing.assert_close(made.teaching.other(faces), said / said.sum(1, keepdim=True))


def test_training_leaves_it_as_it_is_and_resumes_to_the_bit(folder, tmp_path):
    source, target = pair()
    cell, ends = settings(teacher=str(folder), epochs=3, target_loss="difc"), []
    for where, stops in ((None, [3]), (tmp_path, [1, 3])):
        for epochs in stops:
            torch.manual_seed(epochs)
            loader = make_loader(cell, source, target)
            adapter = make_adapter(cell, source, len(loader))
            fit(adapter, loader, epochs=epochs, folder=where, key="k", progress=False)
        ends.append(adapter.models.state_dict() | {"teaching": adapter.teaching.state_dict()})
    for name, state in ends[0].items():
        assert all(torch.equal(value, ends[1][name][key]) for key, value in state.items()), name
    kept = load(folder).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in adapter.teaching.other.model.state_dict().items())
    assert not any(module.training for module in adapter.teaching.train().other.modules())
    assert not any(p.requires_grad for p in adapter.teaching.parameters())


def test_it_is_known_by_its_content_and_no_table_is_split(folder, tmp_path):
    def key(cell):
        return RunFolder.of(tmp_path, cell, *pair()).key

    for name in ("a", "b"):
        save_model(load_model(folder), tmp_path / name)
    same, moved = (settings(teacher=str(tmp_path / name)) for name in ("a", "b"))
    model = load_model(folder)
    with torch.no_grad():
        model.models["C"].bias.add_(1)
    save_model(model, tmp_path / "other")
    other = settings(teacher=str(tmp_path / "other"))
    assert key(same) == key(moved) != key(other) != key(settings())
    assert comparable(same) == comparable(settings())


def test_its_place_is_not_in_an_exported_model(folder, tmp_path):
    run_cell(settings(teacher=str(folder)), *pair(), tmp_path, progress=False)
    (run,) = (tmp_path / "runs").iterdir()
    save_model(load_model(run), tmp_path / "mine")
    config = (tmp_path / "mine" / "config.json").read_text()
    assert str(folder) not in config and "teacher_decay" in config
    faces = torch.rand(2, 3, 32, 32), torch.zeros(2, 5, 2)
    torch.testing.assert_close(load(tmp_path / "mine")(*faces), load(run)(*faces))


def refused(**values):
    with pytest.raises(UserError) as caught:
        make_adapter(settings(**values), pair()[0], 3)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_that_can_t_teach(folder, tmp_path):
    assert refused(teacher="folder") == (
        "unknown teacher 'folder': valid: average, start, student, or a folder: ./folder"
    )
    (tmp_path / "empty").mkdir()
    assert f"method.teacher={tmp_path / 'empty'}: no model in this folder" in refused(teacher=f"{tmp_path}/empty")
    said = refused(teacher=str(folder), crop_px=48)
    assert said == (
        f"method.teacher={folder}: that model takes faces of 32 px, but this run has 48 px: set crop_px=32, or use "
        "another model"
    )
    with pytest.raises(UserError, match=rf"the model of {folder} has no class bus: it has tree, car, dog; use another"):
        make_adapter(settings(teacher=str(folder)), pair(LabelSet(("car", "bus", "tree")))[0], 3)
    assert f"teacher_decay=0.9 has no effect with teacher={folder}" in refused(teacher=str(folder), teacher_decay=0.9)


def test_other_faces_than_its_own(folder, tmp_path):
    source, _ = pair()
    store = {"crop": "arcface"}
    cropped = [replace(d, store=store) for d in pair(OTHER_ORDER)]
    run_cell(settings(method="source_only"), *cropped, tmp_path, progress=False)
    (prepared,) = (tmp_path / "runs").iterdir()
    make_adapter(settings(teacher=str(prepared)), replace(source, store=store), 3)
    with pytest.raises(UserError, match=r"takes faces with crop arcface, but s has crop cdfer: prepare it with"):
        make_adapter(settings(teacher=str(prepared)), replace(source, store={"crop": "cdfer"}), 3)
    with pytest.raises(UserError, match="that model needs faces, and these are frozen features; train on faces"):
        vectors = [FeatureSet(np.ones((len(p), 4), np.float32), p.labels, p.names) for p in (source.train, source.test)]
        make_adapter(settings(teacher=str(folder)), Domain("frozen", *vectors, LABELS), 3)


def test_a_teacher_with_landmark_branches_needs_landmarks(tmp_path):
    values = {"crop_px": 48, "feature_head": "global_local", "backbone": "small"}
    run_cell(settings(method="source_only", **values), *pair(size_px=48), tmp_path, progress=False)
    (folder,) = (tmp_path / "runs").iterdir()
    source, target = pair(size_px=48)
    cell = settings(teacher=str(folder), crop_px=48)
    check_landmarks(cell, source, target)
    target.train.landmarks[3] = np.nan
    with pytest.raises(UserError, match="t: 1 faces have no landmarks"):
        check_landmarks(cell, source, target)
    check_landmarks(settings(crop_px=48), source, target)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        class_folders(tmp_path / name, ("car", "dog", "tree"), seed, 8)
    words = "compare --source folder:a --target folder:b --data-root . --labels folders --epochs 1 --losses ce"
    given = [*words.split(), "--set", "crop_px=32", "batch_size=8"]
    assert main([*given, "--methods", "source_only", "--out", "first"]) == 0
    (folder,) = (tmp_path / "first" / "runs").iterdir()
    place = f"teacher={folder.relative_to(tmp_path)}"
    assert main([*given, place, "--methods", "source_only", "mean_teacher", "--out", "second"]) == 0
    (run,) = (tmp_path / "second" / "runs").glob("mean_teacher-*")
    assert json.loads((run / "record.json").read_text())["settings"]["method"]["options"]["teacher"] == place[8:]
