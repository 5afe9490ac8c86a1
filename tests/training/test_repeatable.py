"""A plugin's first step is repeated, without changing anything; weights that nothing updates are refused."""

import time

import numpy as np
import pytest
import torch
from test_hidden_state import PAIR, train
from torch.nn import functional as F

from pa_difc import BACKBONES, LOSSES, METHODS, PenaltyMethod, SourceOnly
from pa_difc.backbones import BackboneSpec
from pa_difc.losses import LossSpec
from pa_difc.training import repeatable
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


def noisy(noise):
    return lambda logits, labels: F.cross_entropy(logits + noise(len(logits))[:, None], labels) + noise(1).mean()


@pytest.mark.parametrize(
    ("noise", "accepted"),
    [
        (lambda n: torch.from_numpy(np.random.default_rng().random(n)).float(), False),
        (lambda n: torch.rand(n, generator=torch.Generator().manual_seed(time.time_ns() % 2**60)), False),
        (lambda n: torch.full((n,), time.perf_counter() % 1), False),
        (lambda n: torch.rand(n), True),
        (lambda n: torch.from_numpy(np.random.rand(n)).float(), True),
        (lambda n: torch.rand(n, generator=torch.Generator().manual_seed(3)), True),
    ],
)
def test_unseeded_random_numbers_of_a_loss(noise, accepted, monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "noisy", LossSpec("x", lambda inputs: noisy(noise)))
    if accepted:
        train(tmp_path, method="dann", loss="noisy")
        return
    with pytest.raises(UserError, match=r"^the loss: .* when the first step is repeated: its random numbers must come"):
        train(tmp_path, method="dann", loss="noisy")


class Mixing(PenaltyMethod):
    about = "mixes at random"
    loss_name = "mixing_loss"

    def penalty(self, step):
        return step.src_features.square().mean() * np.random.default_rng().random()


def test_unseeded_random_numbers_of_a_method(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "mixing", Mixing)
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", lambda inputs: lambda z, y: F.cross_entropy(z, y)))
    for loss, parts in (("ce", "Mixing"), ("mine", "Mixing or the loss")):
        with pytest.raises(UserError, match=rf"^{parts}: .*loss.* when the first step is repeated"):
            train(tmp_path, method="mixing", loss=loss)


class Seeded(Mixing):
    """Draws from all seeded generators, and has momentum, dropout and BatchNorm."""

    def penalty(self, step):
        draws = torch.rand(3).sum() + float(np.random.rand())
        return F.dropout(step.src_features).square().mean() * draws


@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_the_repeated_step_changes_nothing(loss, monkeypatch):
    monkeypatch.setitem(METHODS, "seeded", Seeded)
    config = resolve(Settings.of(crop_px=32, epochs=3, batch_size=8, method="seeded", loss=loss))

    def trained():
        loader = make_loader(config, *PAIR)
        adapter = make_adapter(config, PAIR[0], len(loader))
        history = fit(adapter, loader, epochs=2, progress=False)
        return [h["losses"] for h in history], adapter.models.state_dict(), torch.get_rng_state()

    with_check = trained()
    monkeypatch.setattr(repeatable, "plugin_parts", lambda adapter: "")
    without = trained()
    assert with_check[0] == without[0] and with_check[2].equal(without[2])
    for name, weights in without[1].items():
        assert all(weights[key].equal(with_check[1][name][key]) for key in weights)


def pairwise(logits, labels):
    """Per sample, how near those of its class are: it doubles with the batch, and is the sum of no parts."""
    near = (logits @ logits.T).where(labels[:, None] == labels, 0).sum(dim=1)
    return 0.01 * near.mean()


class Summed(torch.nn.Module):
    """A sum in a module, with weights."""

    def forward(self, logits, labels):
        return (F.cross_entropy(logits, labels, reduction="none") * (1 + labels)).sum()


@pytest.mark.parametrize("method", ["source_only", "mcd", "safn"])
@pytest.mark.parametrize(
    ("loss", "accepted"),
    [
        (lambda z, y: F.cross_entropy(z, y, reduction="sum"), False),
        (lambda z, y: F.cross_entropy(z, y, reduction="none").sum() / 3, False),
        (Summed(), False),
        (lambda z, y: F.cross_entropy(z, y), True),
        (lambda z, y: F.cross_entropy(z, y, weight=torch.arange(1.0, 8.0)), True),
        (lambda z, y: 0.0 * z.sum(), True),
        (pairwise, True),
        (lambda z, y: F.cross_entropy(z, y) + 0.01 * z.sum(), True),
        (lambda z, y: F.cross_entropy(z, y, reduction="sum") / (1 / 0 if len(z) > 8 else 8), True),
    ],
)
def test_a_loss_that_is_a_sum(loss, accepted, method, monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "mine", LossSpec("x", lambda inputs: loss))
    if accepted:
        train(tmp_path, method=method, loss="mine")
        return
    said = r"^the loss of the first batch is [\d.]+, and [\d.]+ with each sample twice: must be the mean over the samp"
    with pytest.raises(UserError, match=said):
        train(tmp_path, method=method, loss="mine")


class Tempered(torch.nn.Module):
    """A temperature that should be learnt."""

    def __init__(self, learns):
        super().__init__()
        self.temperature = torch.nn.Parameter(torch.ones(()), requires_grad=learns)

    def forward(self, logits, labels):
        return F.cross_entropy(logits / self.temperature, labels)


def test_weights_of_a_loss_that_no_optimiser_updates(monkeypatch, tmp_path):
    monkeypatch.setitem(LOSSES, "tempered", LossSpec("x", lambda inputs: Tempered(False)))
    train(tmp_path, loss="tempered")
    monkeypatch.setitem(LOSSES, "tempered", LossSpec("x", lambda inputs: Tempered(True)))
    with pytest.raises(UserError, match=r"^the loss has a parameter 'temperature' \(Tempered\) that no optimiser upd"):
        train(tmp_path / "b", loss="tempered")


class Projecting(SourceOnly):
    """Weights in its state, which belong into a model."""

    def method_state(self):
        self.projection = torch.nn.Linear(2, 1)
        return {"projection": self.projection}

    def training_step(self, batch, **kwargs):
        self.projection(torch.ones(1, 2)).sum().backward()
        return super().training_step(batch, **kwargs)


def test_weights_of_a_methods_state_that_no_optimiser_updates(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "projecting", Projecting)
    with pytest.raises(UserError, match=r"^misc\['projection'\] has a parameter 'weight' \(Linear\) that no optimiser"):
        train(tmp_path, method="projecting", loss="ce")


class Jittered(torch.nn.Module):
    def __init__(self, feature_head, landmark_branch):
        super().__init__()
        self.num_features, self.scale = 3, torch.nn.Parameter(torch.ones(3))

    def forward(self, face):
        jitter = 1000 * np.random.default_rng().random() if self.training else 1.0  # two are never alike by chance
        return self.scale * face.image.mean((2, 3)) * jitter


def test_unseeded_random_numbers_of_a_backbone(monkeypatch, tmp_path):
    monkeypatch.setitem(BACKBONES, "jittered", BackboneSpec(Jittered, 32, 0.02, "x", feature_head="global_only"))
    with pytest.raises(UserError, match=r"^Jittered: .* when the first step is repeated"):
        train(tmp_path, loss="ce", backbone="jittered")
