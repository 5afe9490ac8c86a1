"""Hooks, weighters, conditions and labels of less usual kinds, in every method."""

import copy

import pytest
import torch
from hooked import OWN, SLOT, TWO, D, K, N, adapter, batch, step
from made import TRAINED
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import (
    ChainHook,
    CLossHook,
    MCCHook,
)
from pytorch_adapt.hooks.base import BaseConditionHook
from pytorch_adapt.weighters import SumWeighter

from pa_difc import METHODS
from pa_difc.util.errors import UserError


def test_a_loss_hook_of_the_user_s_keeps_its_loss():
    aux = CLossHook(loss_prefix="aux_")
    made = adapter("dann", hook_kwargs={"post_g": [aux]}, loss_options={"max_margin": 3.0})
    losses = step(made)
    plain = step(adapter("dann", "ce"))["src_c_loss"]
    assert losses["aux_src_c_loss"] == pytest.approx(plain) and losses["src_c_loss"] > plain + 0.1
    assert isinstance(aux.loss_fn, torch.nn.CrossEntropyLoss)


@pytest.mark.parametrize("method", TRAINED)
def test_none_stands_for_a_default(method):
    slot = SLOT.get(method, "post")
    none = {slot: None, "weighter": None}
    assert step(adapter(method, "ce", hook_kwargs=none, inference_fn=None)) == step(adapter(method, "ce"))
    made = adapter(method, "ce", inference_fn=None)
    made.models.eval()
    with torch.no_grad():
        found = made.inference(batch()["target_imgs"])["logits"]
        assert found.equal(type(made).infer(x=batch()["target_imgs"], models=made.models)["logits"])


@pytest.mark.parametrize("method", TRAINED)
def test_a_weighter_that_changes_in_training_does_so_in_every_step(method):
    own = OWN.get(method, "src_c_loss")
    weighter = SumWeighter(weights={own: 1.0})
    made = adapter(method, "ce", hook_kwargs={"weighter": weighter})
    for optimizer in made.optimizers.values():
        optimizer.param_groups[0]["lr"] = 0.0
    made.models.eval()
    before = step(made)[own]
    weighter.weights[own], weighter.scale = 5.0, 2.0
    if method not in ("agra", "detn", "ecan", "swd"):  # whose state or random directions change the loss itself
        assert step(made)[own] == pytest.approx(10 * before, rel=1e-4)
    else:
        assert abs(step(made)[own]) > 3 * abs(before)


def test_mcd_s_repetitions_are_what_they_are_said_to_be():
    made = adapter("mcd", "ce", hook_kwargs={"repeat": 1})
    assert made.options.repeat == 1
    for method in ("mcd", "mcd_onestep"):
        with pytest.raises(UserError, match=r"hook_kwargs\['weight'\].*give weight= to the method"):
            adapter(method, "ce", hook_kwargs={"weight": 0.1})


class EverySecond(BaseConditionHook):
    """A condition as the host has them."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, inputs, losses):
        self.calls += 1
        return self.calls % 2 == 0


@pytest.mark.parametrize("method", ["source_only", "dann", "safn"])
def test_confusion_goes_on_where_a_condition_leaves_out_what_has_the_target_s_logits(method):
    chain = ChainHook(MCCHook(), conditions=[EverySecond()])
    made = adapter(method, hook_kwargs={SLOT.get(method, "post"): [chain]})
    for seed in range(4):
        step(made, seed)
    assert made.loss.phase.value == "difc" and made.loss.gap_counts.sum() == 0 and made.loss.step == 4
    raised = made.loss.margins - made.loss.base_margins
    assert raised.sum() == pytest.approx(0.5 * (1 + 1 / 2 + 1 / 4 + 1 / 8), abs=1e-6)


@pytest.mark.parametrize("method", TRAINED)
def test_samples_without_a_label_are_left_out_of_the_method_s_own_loss_too(method):
    """What reads labels gives what it gives without these samples; what does not still sees them."""
    cls = METHODS[method]
    if cls.needs_regions:
        return
    data, own = batch(), OWN.get(method, "src_c_loss")
    data["src_labels"] = torch.where(torch.arange(N) < 4, torch.tensor(-100), data["src_labels"])
    kept = {k: v[4:] if k.startswith("src") else v for k, v in data.items()}
    found = [adapter(method, "ce") for _ in range(2)]
    losses = []
    for made, given in zip(found, (data, kept), strict=True):
        made.models.eval()
        parts = copy.deepcopy(made.training_step(given))
        losses.append({n: v for part in parts.values() for n, v in part.items()})
    assert all(torch.tensor(list(part.values())).isfinite().all() for part in losses)
    first = "src_c_loss0" if method in TWO else "src_c_loss"
    assert losses[0][first] == pytest.approx(losses[1][first], rel=1e-3)
    if getattr(cls, "reads_labels", False):
        assert losses[0][own] == pytest.approx(losses[1][own], rel=1e-5)
    data["src_labels"] = torch.full((N,), -100)
    parts = adapter(method, "ce").training_step(data)
    assert all(torch.tensor(list(part.values())).isfinite().all() for part in parts.values())


def test_agra_s_means_know_labelled_faces_alone():
    for wrap in (lambda module: module, torch.nn.DataParallel):
        made, data = adapter("agra", "ce"), batch()
        data["src_labels"] = torch.where(torch.arange(N) < 4, torch.tensor(-100), torch.tensor(2)).int()
        made.models["R"] = wrap(made.models["R"])
        made.training_step(data)
        graph = getattr(made.models["R"], "module", made.models["R"])
        assert graph.seen[0].tolist() == [False, False, True, False]


def test_k_is_that_of_the_logits():
    class Reordered(torch.nn.Module):
        """A classifier whose last layer is registered first."""

        def __init__(self):
            super().__init__()
            self.last, self.first = torch.nn.Linear(16, K), torch.nn.Linear(5, 16)

        def forward(self, x):
            return self.last(self.first(x))

    for method in ("detn", "ecan"):
        models = Models({"G": torch.nn.Linear(D, 5), "C": Reordered()})
        made = METHODS[method](models, Optimizers((torch.optim.SGD, {"lr": 0.1})))
        with pytest.raises(UserError, match="C gives 4 logits, but its last linear layer has 16 outputs"):
            made.training_step(batch())
