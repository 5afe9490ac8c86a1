"""Heads on frozen features: what they are made from, and what runs share."""

import numpy as np
import pytest
import torch
from made import random_faces

from pa_difc.commands.compare import _other_features
from pa_difc.data import Domain
from pa_difc.training.build import make_adapter
from pa_difc.training.frozen import extract, freeze, network_settings, other_seeds
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings

SOURCE, TARGET = (
    Domain("s", random_faces(28, 0), random_faces(14, 1)),
    Domain("t", random_faces(35, 2), random_faces(7, 3)),
)


def config(**values):
    return resolve(Settings.of(crop_px=32, epochs=1, batch_size=8, **values))


def test_each_domain_is_standardised_by_its_own_training_set(tmp_path):
    for domain in freeze(config(), SOURCE, TARGET, tmp_path):
        train = domain.train.features
        np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-4)
        assert set(np.round(train.std(axis=0), 2)) <= {0.0, 1.0}  # 0: a feature that is the same everywhere
        assert domain.features_of and domain.summary()["features_of"] == domain.features_of


def test_a_network_of_another_seed_is_told_of_with_the_seeds_that_add_to_its_runs(tmp_path):
    assert other_seeds(config(seed=3), SOURCE, TARGET, tmp_path) == []
    source, _ = extract(config(seed=2), SOURCE, TARGET, tmp_path)
    assert source.summary()["features_seed"] == 2
    assert other_seeds(config(seed=3), SOURCE, TARGET, tmp_path) == [2]
    assert other_seeds(config(seed=3, lr=0.5), SOURCE, TARGET, tmp_path) == []  # differs in more than its seed
    assert other_seeds(config(seed=2), SOURCE, TARGET, tmp_path) == []
    cells = [config(seed=seed, loss=loss) for loss in ("ce", "difc") for seed in (3, 4)]
    (line,) = _other_features(cells, [2], tmp_path)
    assert line.startswith("features of a network of seed 3; ") and "on the network of seed 2" in line
    assert "--seeds 2 3 4 to add" in line and not list(_other_features(cells, [], tmp_path))
    extract(config(seed=3), SOURCE, TARGET, tmp_path)
    assert other_seeds(config(seed=3), SOURCE, TARGET, tmp_path) == []


def test_features_are_those_of_the_network_that_cross_entropy_trains(tmp_path):
    source, _ = extract(config(method="dann", loss="difc"), SOURCE, TARGET, tmp_path)
    weights = next(tmp_path.glob("runs/source_only-ce-*/checkpoint.pt"))
    adapter = make_adapter(config(method="source_only", loss="ce"), SOURCE, 5)
    adapter.models.load_state_dict(torch.load(weights, weights_only=True)["models"])
    adapter.models.eval()
    with torch.no_grad():
        expected = adapter.models["G"](SOURCE.test.batch(np.arange(14), torch.device("cpu")))
    np.testing.assert_allclose(source.test.features, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"max_margin": 3.0},
        {"classifier": "cosine"},
        {"target_shift": 1.0},
        {"prior_correction": "rlls"},
        {"eval.views": "flip"},
    ],
)
def test_runs_that_differ_elsewhere_share_features(change):
    assert network_settings(config(**change)) == network_settings(config())


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"seed": 3}, {"epochs": 2}, {"feature_head": "global_local"}])
def test_what_trains_the_network_makes_other_features(change):
    assert network_settings(config().but(**change)) != network_settings(config())


def test_a_pretrained_network_is_not_trained_and_its_features_do_not_depend_on_how():
    pretrained = config().but(pretrained="weights.pt")
    assert network_settings(pretrained.but(lr=0.5, seed=3)) == network_settings(pretrained)
