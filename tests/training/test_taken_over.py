"""What a run takes from a model folder that it starts from: its crop, its views, its word on frozen features."""

import numpy as np
import pytest
import torch
from made import random_faces, settings_given

from pa_difc.data import Domain
from pa_difc.data.labels import LabelSet
from pa_difc.deploy.model import load_model, save_model
from pa_difc.deploy.model import load_model as load
from pa_difc.training.build import load_pair, make_adapter
from pa_difc.training.frozen import freeze
from pa_difc.training.groups import EvalSettings
from pa_difc.training.resolve import comparable, resolve, taken_over
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings

LABELS = LabelSet(("car", "dog", "tree"))
OTHER_ORDER = LabelSet(("tree", "car", "dog"))


def pair(labels=LABELS):
    return [Domain(n, *(random_faces(k, i, num_classes=3) for k, i in ((14, s), (9, s + 1))), labels)
            for s, n in ((0, "s"), (7, "t"))]  # fmt: skip


def settings(**values):
    return resolve(Settings.of(**{"crop_px": 32, "epochs": 1, "batch_size": 6, "loss": "ce", **values}))


def trained(out, labels=LABELS, **values):
    run_cell(settings(**{"method": "source_only", **values}), *pair(labels), out, progress=False)
    (folder,) = (out / "runs").iterdir()
    return folder


def probs(folder):
    return np.load(folder / "outputs.npz")["target_probs"]


def test_the_crop_and_the_views_of_a_folder(tmp_path):
    folder = trained(tmp_path / "a", input_scale=0.8, views="flip")
    save_model(load_model(folder), tmp_path / "exported")
    for place in (folder, tmp_path / "exported"):
        cell = settings(method="as_is", pretrained=str(place))
        assert (cell.model.input_scale, cell.eval.views) == (0.8, "flip")
        assert taken_over(cell) == f"as in {place}: model.input_scale=0.8, eval.views=flip"
        torch.testing.assert_close(
            torch.from_numpy(probs(trained(tmp_path / place.name, method="as_is", pretrained=str(place)))),
            torch.from_numpy(probs(folder)),
        )
    mine = settings(pretrained=str(folder), input_scale=1.0, views="none")
    assert (mine.model.input_scale, mine.eval.views, taken_over(mine)) == (1.0, "none", "")
    assert comparable(settings(pretrained=str(folder))) != comparable(mine)


def test_without_a_folder_or_of_one_that_says_nothing_else_faces_are_as_they_are(tmp_path):
    folder = trained(tmp_path / "a")
    for values in ({}, {"pretrained": str(folder)}):
        cell = settings(**values)
        assert (cell.model.input_scale, cell.eval.views, taken_over(cell)) == (1.0, "none", "")


def test_on_the_command_line_it_is_said_once_and_none_can_be_asked_for(tmp_path, monkeypatch, capsys):
    folder = trained(tmp_path / "a", input_scale=0.8, views="flip")
    monkeypatch.setattr("pa_difc.training.build.load_domain", lambda name, labels, **_: pair()[0])
    cell = settings_given("--method", "source_only", "--loss", "ce", "--pretrained", folder, "--set", "crop_px=32")
    load_pair(cell)
    assert f"as in {folder}: model.input_scale=0.8, eval.views=flip\n" in capsys.readouterr().out
    given = ("--set", "crop_px=32", "eval.views=none", "input_scale=none")
    cell = settings_given("--method", "source_only", "--loss", "ce", "--pretrained", folder, *given)
    assert (cell.eval.views, cell.model.input_scale) == ("none", 0.8) and "eval.views" not in cell.follows
    load_pair(cell)
    assert f"as in {folder}: model.input_scale=0.8\n" in capsys.readouterr().out
    assert EvalSettings(views="none").views == "none"


@pytest.mark.parametrize(
    "values", [{}, {"prior_correction": "bbse", "scale": 4.0}, {"pool": "grid"}, {"input_scale": 0.9}]
)
def test_on_frozen_features_a_folder_s_classifier_says_what_its_model_says(values, tmp_path):
    """Its classes in another order, its corrected prior and its grid included."""
    folder = trained(tmp_path / "a", OTHER_ORDER, **values)
    shown = {"pool": "grid"} if "pool" in values else {}
    cell = settings(method="as_is", pretrained=str(folder), **shown)
    frozen = freeze(cell, *pair(), tmp_path / "f")
    test = pair()[1].test
    with torch.no_grad():
        expected = load(folder)(torch.from_numpy(test.images).float() / 255, torch.from_numpy(test.landmarks))
    expected = expected[:, [1, 2, 0]]
    torch.testing.assert_close(torch.from_numpy(frozen[1].test.log_probs).exp(), expected, rtol=1e-4, atol=1e-5)
    run_cell(cell, *frozen, tmp_path / "b", progress=False)
    (run,) = (tmp_path / "b" / "runs").iterdir()
    np.testing.assert_allclose(probs(run), expected, rtol=1e-4, atol=1e-5)
    student = settings(method="mean_teacher", teacher="start", pretrained=str(folder), **shown)
    adapter = make_adapter(student, frozen[0], 3)
    assert adapter.teaching.options.teacher == "start"
    run_cell(student, *frozen, tmp_path / "c", progress=False)
