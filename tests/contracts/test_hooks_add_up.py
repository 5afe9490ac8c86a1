"""What users add to a method's hook the way the host's notebooks do joins the method: nothing is switched off."""

import pytest
import torch
from hooked import ADDED, OWN, SLOT, TWO, adapter, added_hooks, batch, gradient, step
from made import TRAINED
from pytorch_adapt.hooks import (
    AFNHook,
    BSPHook,
    FeaturesAndLogitsHook,
    MCCHook,
    validate_hook,
)
from pytorch_adapt.weighters import MeanWeighter, SumWeighter

EVERY = [(m, a) for m in TRAINED for a in ADDED if added_hooks(m, a)]


@pytest.mark.parametrize(("method", "added"), EVERY)
def test_all_live_together(method, added):
    hooks, loss = added_hooks(method, added)
    made = adapter(method, hook_kwargs={SLOT.get(method, "post"): hooks})
    alone, together = step(adapter(method)), step(made)
    for name, value in alone.items():  # the method's own losses are there, and are what they are without the hook
        if name != "discrepancy_loss":  # after step A, which the added loss has changed
            assert together[name] == pytest.approx(value, rel=1e-5), name
    own = OWN.get(method)
    assert together[loss] != 0 and (own is None or together[own] != 0)
    base = made.loss.base_margins.clone()
    for seed in range(1, 5):
        step(made, seed)
    assert (made.loss.step, made.loss.phase.value, made.loss.reweighted) == (5, "difc", True)
    raised = made.loss.margins - base
    assert raised.sum() == pytest.approx(0.5 * (1 + 1 / 2 + 1 / 4 + 1 / 8), abs=1e-6) and raised.min() > 0
    assert made.loss.confusion.isfinite().any()


@pytest.mark.parametrize(("method", "added"), [(m, "im" if m in TWO else "mcc") for m in TRAINED])
def test_the_added_loss_moves_the_weights(method, added):
    hooks, _ = added_hooks(method, added)
    slot = SLOT.get(method, "post")
    trained = []
    for more in ([], hooks):
        made = adapter(method, "ce", hook_kwargs={slot: more})
        step(made)
        trained.append(torch.cat([p.detach().flatten() for p in made.models["G"].parameters()]))
    assert (trained[0] - trained[1]).abs().max() > 1e-6


@pytest.mark.parametrize("method", TRAINED)
def test_a_weighter_weighs_all_losses_of_the_step(method):
    slot = SLOT.get(method, "post")
    hooks = {slot: [AFNHook(loss_prefix="my_")]}
    plain = step(adapter(method, "ce", hook_kwargs=hooks))
    halved = step(adapter(method, "ce", hook_kwargs={**hooks, "weighter": SumWeighter(scale=0.5)}))
    assert plain.keys() == halved.keys() and {"my_afn_loss"} < plain.keys()
    for name in plain:
        if name != "discrepancy_loss" or method == "mcd_onestep":  # the others' follows step A, which has learnt half
            assert halved[name] == pytest.approx(0.5 * plain[name], rel=1e-5), name


@pytest.mark.parametrize("method", TRAINED)
def test_weights_by_name_reach_the_losses_that_they_name_and_no_others(method):
    slot = SLOT.get(method, "post")
    own = OWN.get(method, "src_c_loss")
    hooks = {slot: [AFNHook(loss_prefix="my_")]}
    plain = step(adapter(method, "ce", hook_kwargs=hooks))
    weighter = SumWeighter(weights={own: 3.0, "my_afn_loss": 0.0})
    weighed = step(adapter(method, "ce", hook_kwargs={**hooks, "weighter": weighter}))
    assert weighed["my_afn_loss"] == 0
    if own == "discrepancy_loss" and method != "mcd_onestep":  # after step A, which the added loss has changed
        plain = step(adapter(method, "ce"))
    assert weighed[own] == pytest.approx(3 * plain[own], rel=1e-4)
    assert weighter.weights == {own: 3.0, "my_afn_loss": 0.0}


#: Methods whose own loss is multiplied by their weight; in the others it is in the gradient reversal.
WEIGHED = [m for m in OWN if m not in ("dann", "cdan", "agra")]


@pytest.mark.parametrize("method", WEIGHED)
@pytest.mark.parametrize("weighter", [None, MeanWeighter(), SumWeighter(weights={"src_c_loss": 1.0})])
def test_the_method_s_own_weight_holds_under_any_weighter(method, weighter):
    if method in TWO and weighter is not None and weighter.weights:
        weighter = SumWeighter(weights={"src_c_loss0": 1.0})
    hooks = {} if weighter is None else {"weighter": weighter}
    options = {"mcc": "mcc_weight", "sentry": "sentry_weight", "adamatch": "target_weight"}
    option = (options | {"mean_teacher": "target_weight"}).get(method, "weight")
    own = [step(adapter(method, "ce", **{option: w}, hook_kwargs=hooks))[OWN[method]] for w in (1.0, 0.3)]
    assert own[1] == pytest.approx(0.3 * own[0], rel=1e-5) and own[0] != 0


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_the_host_validates_the_hook(method, loss):
    made = adapter(method, loss, misc=None)
    calls = validate_hook(made.hook, list(batch()))
    assert calls["C"] >= 1


@pytest.mark.parametrize("method", [m for m in TRAINED if m in ("mcd", "swd", "star")])
@pytest.mark.parametrize("reuse", [False, True])
def test_every_step_of_mcd_has_its_hooks_and_its_weighter(method, reuse):
    slots = [f"{when}_{which}" for which in "xyz" for when in ("pre", "post")]
    hooks = {slot: [BSPHook(loss_prefix=f"{slot}_")] for slot in slots if "_y" not in slot}
    # In step B features are detached: a loss of logits.
    hooks |= {slot: [FeaturesAndLogitsHook(domains=["target"], detach_features=True)] for slot in ("pre_y", "post_y")}
    weighters = {f"{w}_weighter": SumWeighter(scale=s) for w, s in zip("xyz", (1.0, 2.0, 3.0), strict=True)}
    options = {"reuse_features": reuse}
    plain = adapter(method, "ce", hook_kwargs=hooks, **options).training_step(batch())
    weighed = adapter(method, "ce", hook_kwargs={**hooks, **weighters}, **options).training_step(batch())
    for which in "xz":
        assert {f"pre_{which}_bsp_loss", f"post_{which}_bsp_loss"} < plain[f"{which}_loss"].keys()
    assert weighed["x_loss"]["total"] == pytest.approx(plain["x_loss"]["total"], rel=1e-5)
    assert weighed["y_loss"]["total"] == pytest.approx(2 * plain["y_loss"]["total"], rel=1e-3)


def ramp(progress):
    """λ of Ganin et al. 2016, section 5.2.2."""
    return 2 / (1 + torch.tensor(-10.0 * progress).exp().item()) - 1


@pytest.mark.parametrize("added", [[], [MCCHook()]])
@pytest.mark.parametrize("method", ["dann", "cdan", "mdd", "agra"])
def test_the_gradient_that_reaches_g_ramps_from_zero(method, added):
    """λ of each step is read off G's gradient, beside one under a constant λ: what the buffer says is not asked."""
    slot = SLOT.get(method, "post")
    reversed_part = []
    for ramp_steps in (2, None, "off"):
        largest = {"max_reversal": 0.7} if method == "mdd" else {"weight": 0.7}
        if ramp_steps == "off":
            largest = dict.fromkeys(largest, 0.0)
        steps = None if ramp_steps == "off" else ramp_steps
        made = adapter(method, "ce", ramp_steps=steps, hook_kwargs={slot: added}, **largest)
        made.models.eval()  # the same dropout, and AGRA's means, in all three
        for optimizer in made.optimizers.values():
            optimizer.param_groups[0]["lr"] = 0.0
        found = []
        for _ in range(4):
            if method == "agra":
                made.models["R"].seen.zero_()
            found.append(gradient(made).clone())
        reversed_part.append(found)
    ramped, constant, off = reversed_part
    for number, (a, b, c) in enumerate(zip(ramped, constant, off, strict=True)):
        share = ((a - c) @ (b - c) / (b - c).square().sum()).item()
        assert share == pytest.approx(ramp(min(1, number / 2)), abs=2e-4), number
