"""Balanced epochs in training: they combine with methods and losses, and resume exactly."""

import pytest

from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

OPTIONS = {"sampler": "class_balanced", "target_sampler": "pseudo_balanced", "prior_correction": "rlls"}


@pytest.mark.parametrize(("method", "loss"), [("mcd", "difc"), ("safn", "ce"), ("cdan", "cosface")])
def test_they_combine_with_methods_and_losses_and_resume_exactly(method, loss, source, target, tmp_path):
    settings = {"epochs": 3, "batch_size": 16, "crop_px": 32, **OPTIONS}
    config = resolve(Settings.of(method=method, loss=loss, **settings))

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


@pytest.mark.parametrize(
    ("key", "value"), [("sampler", "balanced"), ("target_sampler", "x"), ("prior_correction", "bbs")]
)
def test_unknown_names_are_refused(key, value):
    with pytest.raises(UserError, match=f"unknown {key.replace('_', ' ')} {value!r}"):
        Settings.of(**{key: value})
