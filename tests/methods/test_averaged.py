"""Averages of weights: their values by a loop, BatchNorm, what is copied instead, and what predicts in the end."""

import copy

import numpy as np
import pytest
import torch
from made import random_faces
from pytorch_adapt.containers import Models, Optimizers
from torch import nn

from pa_difc import METHODS
from pa_difc.data import Domain, EvalLoader
from pa_difc.deploy.model import load_model as load
from pa_difc.evaluation.inference import predict
from pa_difc.methods.averaged import AveragedModels, in_place_of
from pa_difc.methods.regions import RegionGraph
from pa_difc.training.build import make_adapter
from pa_difc.training.resolve import resolve
from pa_difc.training.run import run_cell
from pa_difc.training.settings import Settings

D, K = 5, 3


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(D, D), nn.BatchNorm1d(D), nn.Dropout(0.5))


def change(model, seed):
    """Other weights and statistics, as after a step."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
            value.copy_(torch.rand(value.shape, generator=generator) + seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.num_batches_tracked += 1


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("decay", [0.0, 0.15, 0.99])
def test_weights_and_statistics_against_a_loop(decay, share):
    model = network()
    average = AveragedModels({"G": model}, decay, share)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    expected = dict(start)
    for t in range(4):
        change(model, t)
        average.update({"G": model})
        d = min(decay, (1 + t) / (10 + t))
        for name, value in model.state_dict().items():
            expected[name] = value.clone() if name.endswith("tracked") else d * expected[name] + (1 - d) * value
    for name, value in average.models["G"].state_dict().items():
        drawn = expected[name] if name.endswith("tracked") else (1 - share) * expected[name] + share * start[name]
        torch.testing.assert_close(value, drawn)
    assert average.models["G"][1].running_var.mean() > 2  # it follows, too


def test_it_is_a_copy_without_gradients_always_in_eval_mode():
    model = network()
    average = AveragedModels({"G": model}, 0.5)
    assert not any(module.training for module in average.train().modules())
    assert all(module.training for module in model.modules())
    assert not any(p.requires_grad for p in average.parameters()) and all(p.requires_grad for p in model.parameters())
    before = average.models["G"][0].weight.clone()
    change(model, 3)
    assert average.models["G"][0].weight.equal(before)


def test_a_state_that_is_no_weight_is_taken_over_as_it_is():
    """A class that AGRA meets in its hundredth step has a mean of its own size, and no hundredth of it."""
    graph = RegionGraph(K)
    average = AveragedModels({"R": graph}, 0.99)
    for _ in range(100):
        average.update({"R": graph})
    regions = torch.full((2, 384), 7.0)
    graph.update(regions, torch.tensor([1, 1]), 0)
    average.update({"R": graph})
    kept = average.models["R"]
    assert kept.means[0, 1].eq(7.0).all() and kept.seen.equal(graph.seen)


def test_weights_that_two_layers_share_are_averaged_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(D, D), nn.Linear(D, D)
            self.second.weight = self.first.weight
            self.register_buffer("cache", torch.zeros(1), persistent=False)

    model = Tied()
    average, before = AveragedModels({"G": model}, 0.05), model.first.weight.clone()
    change(model, 2)
    model.cache = torch.zeros(7)  # no checkpoint holds it
    average.update({"G": model})
    expected = 0.05 * before + 0.95 * model.first.weight
    torch.testing.assert_close(average.models["G"].first.weight, expected)
    assert average.models["G"].second.weight is average.models["G"].first.weight


def test_inside_the_block_averages_stand_in_for_models_and_afterwards_not():
    models = Models({"G": network(), "C": nn.Linear(D, K)})
    own, average = models["G"], AveragedModels({"G": models["G"]}, 0.5)
    with pytest.raises(KeyError), in_place_of(models, average):
        assert models["G"] is average.models["G"]
        raise KeyError
    assert models["G"] is own
    with in_place_of(models, None):
        assert models["G"] is own


def adapter(method, decay=None, **options):
    torch.manual_seed(0)
    cls = METHODS[method]
    models = Models({"G": nn.Linear(D, D), **cls.heads(D, K)})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.3})), **options)
    if decay is not None:
        made.average_weights(decay)
    return made


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    domains = {f"{d}_imgs": torch.randn(6, D, generator=generator) for d in ("src", "target")}
    labels = {
        "src_labels": torch.arange(6) % K,
        "src_domain": torch.zeros(6).long(),
        "target_domain": torch.ones(6).long(),
    }
    return domains | labels


@pytest.mark.parametrize("method", ["source_only", "mcd", "dann", "mean_teacher"])
def test_the_average_predicts_and_the_student_trains_on(method):
    made, plain = adapter(method, 0.8), adapter(method)
    expected = {name: copy.deepcopy(made.models[name]) for name in ("G", "C")}
    for t in range(5):
        torch.manual_seed(t)
        made.training_step(batch(t))
        torch.manual_seed(t)
        plain.training_step(batch(t))
        d = min(0.8, (1 + t) / (10 + t))
        with torch.no_grad():
            for name, model in expected.items():
                for mean, value in zip(model.parameters(), made.models[name].parameters(), strict=True):
                    mean.copy_(d * mean + (1 - d) * value)
    for name, model in plain.models.items():  # training is the same with and without
        for a, b in zip(model.parameters(), made.models[name].parameters(), strict=True):
            assert a.equal(b)
    for one in (made, plain):
        one.models.eval()
    x = batch(9)["target_imgs"]
    with torch.no_grad():
        found = made.inference(x, domain=1)["logits"].softmax(1)
        wanted = made.infer(x, models=expected, domain=1)["logits"].softmax(1)
        torch.testing.assert_close(found, wanted)
        assert (found - plain.inference(x, domain=1)["logits"].softmax(1)).abs().max() > 1e-3


def test_a_run_is_scored_kept_and_exported_with_its_average(tmp_path):
    faces = Domain("a", random_faces(30, 0), random_faces(14, 1)), Domain("b", random_faces(30, 2), random_faces(14, 3))
    given = {"method": "mcd", "loss": "ce", "crop_px": 32, "batch_size": 8, "epochs": 2, "lr": 0.1}
    outputs = {}
    for ema in (0.0, 0.9):
        out = tmp_path / str(ema)
        run_cell(resolve(Settings.of(**given, ema=ema)), *faces, out, progress=False)
        (folder,) = (out / "runs").iterdir()
        scored = np.load(folder / "outputs.npz")["target_probs"]
        model, test = load(folder), faces[1].test
        image, points = torch.from_numpy(test.images).float() / 255, torch.from_numpy(test.landmarks)
        with torch.no_grad():
            np.testing.assert_allclose(model(image, points).numpy(), scored, atol=1e-5)
        outputs[ema] = scored
    assert np.abs(outputs[0.0] - outputs[0.9]).max() > 1e-3


def test_it_begins_as_what_training_begins_with():
    faces = Domain("a", random_faces(30, 0), random_faces(14, 1))
    made = make_adapter(resolve(Settings.of(method="source_only", loss="ce", crop_px=32, ema=0.5)), faces, 3)
    before = predict(made, EvalLoader(faces.test)).probs
    change(made.models["C"], 1)
    assert predict(made, EvalLoader(faces.test)).probs.equal(before)  # until a step is done
