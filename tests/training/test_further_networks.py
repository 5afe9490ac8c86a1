"""A method of others with networks of its own: it trains, saves and resumes them, or says in one line what it lacks."""

import pydoc

import pytest
import torch
from test_hidden_state import PAIR, train

from pa_difc import METHODS, PenaltyMethod
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError


class Critic(PenaltyMethod):
    """Features of equal score."""

    about = "features of equal score"
    loss_name = "critic_loss"
    extra_models = ("Q",)

    @classmethod
    def heads(cls, num_features, num_classes, **given):
        return {**super().heads(num_features, num_classes, **given), "Q": torch.nn.Linear(num_features, 1)}

    def penalty(self, step):
        scores = [self.models["Q"](features).mean() for features in (step.src_features, step.target_features)]
        return (scores[0] - scores[1]).square()


class ByKeyword(Critic):
    """Names what it gets."""

    @classmethod
    def heads(cls, num_features, num_classes, *, options, make):
        return {"C": make(num_features, num_classes), "Q": torch.nn.Linear(num_features, 1)}


def config(method, epochs=2):
    return resolve(Settings.of(crop_px=32, epochs=epochs, batch_size=8, method=method, loss="ce"))


@pytest.mark.parametrize("name", ["critic", "critic+abc"])
@pytest.mark.parametrize("method", [Critic, ByKeyword])
def test_a_network_of_a_method_s_own(method, name, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "critic", method)

    def trained(epochs, folder):
        settings = config(name)
        loader = make_loader(settings, *PAIR)
        adapter = make_adapter(settings, PAIR[0], len(loader))
        before = adapter.models["Q"].weight.detach().clone()
        fit(adapter, loader, epochs=epochs, folder=folder, key="k", progress=False)
        return before, adapter.models["Q"].weight

    before, straight = trained(2, None)
    trained(1, tmp_path)
    assert not straight.equal(before) and trained(2, tmp_path)[1].equal(straight)


def test_a_network_that_extra_models_lacks(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "critic", type("Bare", (Critic,), {"extra_models": ()}))
    said = r"^Bare has no model 'Q', only G, C: a method names those that its heads\(\) adds, as in extra_models = "
    with pytest.raises(UserError, match=said):
        train(tmp_path, method="critic", loss="ce")


OWN = {cls for name in METHODS for cls in METHODS[name].__mro__ if "heads" in vars(cls)}


@pytest.mark.parametrize("method", sorted(OWN, key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__)
def test_help_shows_no_address(method):
    assert " at 0x" not in pydoc.plain(pydoc.render_doc(method.heads))
