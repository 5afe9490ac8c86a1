"""The host's hooks on logits in methods with two classifiers, and ours in the host's own adapters."""

import pytest
import torch
from pytorch_adapt.hooks import ATDOCHook, BNMHook, MCCHook, TargetDiversityHook, TargetEntropyHook
from toys import TARGET, F, K, loaders, ours, theirs

from pa_difc.methods import mcc
from pa_difc.methods.hooks import JointFeaturesHook
from pa_difc.util.errors import UserError


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(0)
    return next(iter(loaders()["train"]))


@pytest.mark.parametrize("slot", ["pre_x", "post_y", "post_z"])
@pytest.mark.parametrize("hook", [MCCHook, BNMHook, TargetEntropyHook, TargetDiversityHook])
def test_losses_on_logits_are_averaged_over_classifiers(hook, slot, batch):
    own = hook()
    loss = own.loss_fn
    adapter = ours("mcd", loss="ce", hook_kwargs={slot: [own]})
    with torch.no_grad():
        logits = adapter.models["C"](adapter.models["G"](batch["target_imgs"]))
        expected = sum(loss(z) for z in logits).item() / 2
    (name,) = own.loss_keys
    found = adapter.training_step(batch)[f"{slot[-1]}_loss"][name]
    if slot == "pre_x":  # the only step whose weights are those of the beginning
        assert found == pytest.approx(expected, rel=1e-4)
    assert own.loss_fn is loss  # the user's own hook is for one classifier as before


def test_a_hook_that_needs_one_classifier_is_an_error_of_one_line(batch):
    adapter = ours("mcd", loss="ce", hook_kwargs={"post_x": [ATDOCHook(TARGET, F, K)]})
    with pytest.raises(UserError, match=r"MCD: ATDOCHook expects the logits of one classifier, and C gives a list"):
        adapter.training_step(batch)


@pytest.mark.parametrize("hook", [lambda: mcc.MCCHook(0.5, 2.0), JointFeaturesHook])
@pytest.mark.parametrize(("name", "slots"), [("MCD", ("pre_x", "pre_z")), ("DANN", ("pre",)), ("Classifier", ("pre",))])
def test_our_hooks_work_in_the_host_s_adapters(name, slots, hook, batch):
    for slot in slots:
        adapter = theirs(name, loss="ce", hook_kwargs={slot: [hook()]})
        losses = adapter.training_step(batch)
        assert all(torch.isfinite(torch.tensor(list(step.values()))).all() for step in losses.values())
