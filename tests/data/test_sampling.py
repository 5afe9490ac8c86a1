"""Balanced epochs: every class equally often, by label or by prediction, and the same ones for the same seed."""

import numpy as np
import pytest
from made import random_faces

from pa_difc.data import PairLoader
from pa_difc.data.sampling import class_balanced
from pa_difc.training.build import make_adapter, make_loader, resolve
from pa_difc.training.engine import fit
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Config
from pa_difc.util.errors import UserError

CLASSES = np.repeat([0, 2, 5], [50, 8, 2])


def test_every_class_occurs_once_in_each_run():
    order = class_balanced(CLASSES, 100, 3, [0, 1])
    drawn = CLASSES[order]
    assert len(order) == 100
    assert all(set(drawn[i : i + 3]) == {0, 2, 5} for i in range(0, 99, 3))
    assert len(set(order[drawn == 0])) > 20  # and not the same samples again and again


def test_a_seed_gives_the_same_epoch_and_leaves_other_random_numbers_alone():
    state = np.random.get_state()[1].copy()
    a, b = (class_balanced(CLASSES, 60, 2, [4, 0]) for _ in range(2))
    assert np.array_equal(a, b) and np.array_equal(state, np.random.get_state()[1])
    for other in (class_balanced(CLASSES, 60, 3, [4, 0]), class_balanced(CLASSES, 60, 2, [5, 0])):
        assert not np.array_equal(a, other)


def test_the_source_is_drawn_by_label_and_the_target_by_prediction():
    source, target = random_faces(45, 0), random_faces(61, 1)
    loader = PairLoader(source, target, batch_size=8, sampler="class_balanced", target_sampler="pseudo_balanced")
    labels = np.concatenate([b["src_labels"].numpy() for b in loader.epoch(0)])
    assert np.ptp(np.bincount(labels)) <= 1 and len(labels) == 61
    assert not loader.needs_predictions(0) and loader.needs_predictions(1)
    predicted = np.where(np.arange(61) < 55, 3, 6)
    drawn = np.concatenate([b["target_sample_idx"].numpy() for b in loader.epoch(1, predicted)])
    assert abs((predicted[drawn] == 6).mean() - 0.5) < 0.02


OPTIONS = {"sampler": "class_balanced", "target_sampler": "pseudo_balanced", "adjust": "rlls"}


@pytest.mark.parametrize(("method", "loss"), [("mcd", "difc"), ("safn", "ce"), ("cdan", "cosface")])
def test_they_combine_with_methods_and_losses_and_resume_exactly(method, loss, source, target, tmp_path):
    settings = {"epochs": 3, "batch_size": 16, "crop_px": 32, **OPTIONS}
    config = resolve(Config(method=method, loss=loss, **settings))

    def train(folder, epochs):
        loader = make_loader(config, source, target)
        adapter = make_adapter(config, source, len(loader))
        fit(adapter, loader, epochs=epochs, folder=folder, key="k", progress=False)
        return adapter.models["G"].state_dict()

    straight = train(None, 3)
    train(tmp_path / "k", 2)
    resumed = train(tmp_path / "k", 3)
    assert all(straight[name].equal(resumed[name]) for name in straight)
    record = run_cell(config, source, target, tmp_path, progress=False)
    assert {"prior", "ratio", "calibration", "refused"} == set(record["model"]["adjustment"])
    assert record["scores"]["target_unadjusted"]["confusion"]
    assert 0 <= record["model"]["feature_quality"]["target"]["map_at_r"] <= 1


@pytest.mark.parametrize(("key", "value"), [("sampler", "balanced"), ("target_sampler", "x"), ("adjust", "bbs")])
def test_unknown_names_are_refused(key, value):
    with pytest.raises(UserError, match=f"unknown {key.replace('_', '-')} {value!r}"):
        Config(**{key: value})
