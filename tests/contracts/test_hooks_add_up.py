"""What users add to a method's hook the way the host's notebooks do joins the method: nothing is switched off."""

import copy

import pytest
import torch
from pytorch_adapt.containers import Misc, Models, Optimizers
from pytorch_adapt.hooks import (
    AFNHook,
    AlignerHook,
    BNMHook,
    BSPHook,
    ChainHook,
    CLossHook,
    DomainLossHook,
    EntropyReducer,
    FeaturesAndLogitsHook,
    MCCHook,
    MCDLossHook,
    MeanReducer,
    TargetDiversityHook,
    TargetEntropyHook,
    VATHook,
    validate_hook,
)
from pytorch_adapt.hooks.base import BaseConditionHook
from pytorch_adapt.hooks.utils import ApplyToListHook
from pytorch_adapt.weighters import MeanWeighter, SumWeighter

from pa_difc import METHODS, Schedule
from pa_difc.util.errors import UserError

N, K, D = 12, 4, 6

#: The slot of the step in which features and classifier learn.
SLOT = {"dann": "post_g", "mcd": "post_x", "swd": "post_x", "star": "post_x"}
TWO = ("mcd", "swd", "star", "mcd_onestep")
#: The loss that makes a method what it is.
OWN = {
    "dann": "src_domain_loss",
    "cdan": "domain_loss",
    "agra": "domain_loss",
    "mdd": "disparity_loss",
    "mcd": "discrepancy_loss",
    "swd": "discrepancy_loss",
    "star": "discrepancy_loss",
    "mcd_onestep": "discrepancy_loss",
    "safn": "afn_loss",
    "detn": "mmd_loss",
    "ecan": "mmd_loss",
    "jumbot": "transport_loss",
    "etd": "transport_loss",
    "lpl": "locality_loss",
}

#: Hooks of the host by what they are, and the loss that each brings.
ADDED = {
    "mcc": (lambda: [MCCHook()], "mcc_loss"),
    "bnm": (lambda: [BNMHook()], "bnm_loss"),
    "im": (lambda: [TargetEntropyHook(), TargetDiversityHook()], "diversity_loss"),
    "afn": (lambda: [AFNHook(loss_prefix="my_")], "my_afn_loss"),
    "bsp": (lambda: [BSPHook()], "bsp_loss"),
    "aligner": (lambda: [AlignerHook()], "features_confusion_loss"),
    "vat": (lambda: [VATHook()], "target_vat_loss"),
}
OF_LOGITS = ("mcc", "bnm", "im", "vat")


def added_hooks(method, name):
    """The hooks, for a method of two classifiers once for each; None where the host's hook can't be used at all."""
    hooks, loss = ADDED[name][0](), ADDED[name][1]
    if name not in OF_LOGITS:
        return hooks, loss
    if name == "vat" and (method in TWO or method == "agra"):  # its combined model gives one tensor of logits
        return None
    if method not in TWO:
        return hooks, loss
    each = [ApplyToListHook(hook, 2, "^target_imgs_features_logits$") for hook in hooks]
    return [FeaturesAndLogitsHook(domains=["target"]), *each], f"{loss}0"


def adapter(method, loss="difc", **kwargs):
    torch.manual_seed(0)
    cls = METHODS[method]
    features = 384 if cls.needs_regions else 5
    extractor = torch.nn.Sequential(torch.nn.Linear(D, features), torch.nn.Tanh())
    models = Models({"G": extractor, **cls.heads(features, K)})
    kwargs.setdefault("misc", Misc({"combined_model": torch.nn.Sequential(models["G"], models["C"])}))
    if loss == "difc":
        schedule = Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=1)
        kwargs |= {"class_counts": [40, 5, 20, 10], "schedule": schedule, "loss_options": {"epsilon": 0.5}}
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.05})), loss=loss, **kwargs)
    made.models.train()
    return made


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "src_imgs": torch.randn(N, D, generator=generator),
        "target_imgs": torch.randn(N, D, generator=generator) + 1,
        "src_labels": torch.arange(N) % K,
        "src_domain": torch.zeros(N, dtype=torch.long),
        "target_domain": torch.ones(N, dtype=torch.long),
    }


def step(made, seed=0):
    """The losses of a step by name, those of MCD's first optimisation step, before any weight has moved, first."""
    torch.manual_seed(seed)
    parts = copy.deepcopy(made.training_step(batch(seed)))
    losses = {}
    for part in parts.values():
        losses |= {name: value for name, value in part.items() if name not in losses and name != "total"}
    return losses


def gradient(made):
    """G's gradient of the step's last backward pass through it."""
    torch.manual_seed(0)
    made.training_step(batch())
    return torch.cat([p.grad.flatten() for p in made.models["G"].parameters()])


EVERY = [(m, a) for m in METHODS for a in ADDED if added_hooks(m, a)]


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


@pytest.mark.parametrize(("method", "added"), [(m, "im" if m in TWO else "mcc") for m in METHODS])
def test_the_added_loss_moves_the_weights(method, added):
    hooks, _ = added_hooks(method, added)
    slot = SLOT.get(method, "post")
    trained = []
    for more in ([], hooks):
        made = adapter(method, "ce", hook_kwargs={slot: more})
        step(made)
        trained.append(torch.cat([p.detach().flatten() for p in made.models["G"].parameters()]))
    assert (trained[0] - trained[1]).abs().max() > 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_a_weighter_weighs_all_losses_of_the_step(method):
    slot = SLOT.get(method, "post")
    hooks = {slot: [AFNHook(loss_prefix="my_")]}
    plain = step(adapter(method, "ce", hook_kwargs=hooks))
    halved = step(adapter(method, "ce", hook_kwargs={**hooks, "weighter": SumWeighter(scale=0.5)}))
    assert plain.keys() == halved.keys() and {"my_afn_loss"} < plain.keys()
    for name in plain:
        if name != "discrepancy_loss" or method == "mcd_onestep":  # the others' follows step A, which has learnt half
            assert halved[name] == pytest.approx(0.5 * plain[name], rel=1e-5), name


@pytest.mark.parametrize("method", METHODS)
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
    own = [step(adapter(method, "ce", weight=w, hook_kwargs=hooks))[OWN[method]] for w in (1.0, 0.3)]
    assert own[1] == pytest.approx(0.3 * own[0], rel=1e-5) and own[0] != 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_the_host_validates_the_hook(method, loss):
    made = adapter(method, loss, misc=None)
    calls = validate_hook(made.hook, list(batch()))
    assert calls["C"] >= 1


@pytest.mark.parametrize("method", METHODS)
def test_unknown_arguments_are_refused_by_name(method):
    with pytest.raises(UserError, match=r"hook_kwargs\['pots'\]: \w+ takes .*pre"):
        adapter(method, hook_kwargs={"pots": [MCCHook()]})
    for key in ("opts" if method not in ("mcd", "swd", "star") else "g_opts", "loss_fn", "c_hook"):
        with pytest.raises(UserError, match=rf"hook_kwargs\['{key}'\]"):
            adapter(method, hook_kwargs={key: None})


@pytest.mark.parametrize("method", METHODS)
def test_a_weighter_is_an_instance_and_a_slot_a_list(method):
    with pytest.raises(UserError, match=r"'weighter'\]=MeanWeighter: must be an instance, such as MeanWeighter\(\)"):
        adapter(method, hook_kwargs={"weighter": MeanWeighter})
    slot = SLOT.get(method, "post")
    for wrong in (MCCHook(), [MCCHook]):
        with pytest.raises(UserError, match=rf"'{slot}'\].*is no list of hooks: must be one"):
            adapter(method, hook_kwargs={slot: wrong})


@pytest.mark.parametrize("method", [m for m in METHODS if m in ("mcd", "swd", "star")])
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


def test_a_weight_of_a_loss_that_no_step_has_is_refused():
    with pytest.raises(UserError, match=r"weighter has a weight of afn_los: the losses are .*discrepancy_loss"):
        adapter("mcd", "ce", hook_kwargs={"weighter": SumWeighter(weights={"afn_los": 0.1})})


def test_dann_passes_logits_to_the_discriminator_when_asked_to():
    torch.manual_seed(0)
    cls, seen = METHODS["dann"], []
    discriminator = torch.nn.Sequential(torch.nn.Linear(K, 1), torch.nn.Flatten(0))
    discriminator.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    models = Models({"G": torch.nn.Linear(D, 5), "C": torch.nn.Linear(5, K), "D": discriminator})
    made = cls(models, Optimizers((torch.optim.SGD, {"lr": 0.01})), hook_kwargs={"use_logits": True})
    made.training_step(batch())
    assert seen == [(N, K)] * 2
    with pytest.raises(UserError, match=r"gradient_reversal_weight.*give weight= and ramp_steps="):
        adapter("dann", hook_kwargs={"gradient_reversal_weight": 0.5})


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


def test_two_losses_of_one_name_are_refused():
    """The host would take the last one of a chain and forget the other, unless another hook follows."""
    for method, hooks in (("safn", {"post": [AFNHook()]}), ("detn", {"post": [MCCHook(), MCCHook()]})):
        with pytest.raises(UserError, match=r"two hooks give a loss '.*': name one of them, as with loss_prefix"):
            adapter(method, "ce", hook_kwargs=hooks)
    for slot in ("post_y", "post_z"):
        with pytest.raises(UserError, match="'discrepancy_loss'"):
            adapter("mcd", "ce", hook_kwargs={slot: [MCDLossHook()]})
    for hook, loss in ((CLossHook(detach_features=True), "src_c_loss"), (DomainLossHook(), "_domain_loss")):
        with pytest.raises(UserError, match=loss):
            adapter("dann", "ce", hook_kwargs={"post_g": [hook]})


class OfSamples(torch.nn.Module):
    """Cross-entropy of single samples, as the host's default is."""

    def forward(self, logits, labels):
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_a_reducer_of_samples_losses_is_refused_where_there_is_a_mean(method, loss):
    key = "x_reducer" if method in ("mcd", "swd", "star") else "reducer"
    for reducer in (EntropyReducer(), EntropyReducer(apply_to=["src_c_loss"])):
        with pytest.raises(UserError, match=r"EntropyReducer finds the mean of .*reduction='none'"):
            adapter(method, loss, hook_kwargs={key: reducer})
    if method not in TWO and method != "agra":
        reducer = EntropyReducer(apply_to=["src_c_loss"], default_reducer=MeanReducer())
        made = adapter(method, OfSamples(), hook_kwargs={key: reducer})
        assert step(made)["src_c_loss"] < step(adapter(method, "ce"))["src_c_loss"]


def test_a_loss_hook_of_the_user_s_keeps_its_loss():
    aux = CLossHook(loss_prefix="aux_")
    made = adapter("dann", hook_kwargs={"post_g": [aux]}, loss_options={"max_margin": 3.0})
    losses = step(made)
    plain = step(adapter("dann", "ce"))["src_c_loss"]
    assert losses["aux_src_c_loss"] == pytest.approx(plain) and losses["src_c_loss"] > plain + 0.1
    assert isinstance(aux.loss_fn, torch.nn.CrossEntropyLoss)


@pytest.mark.parametrize("method", METHODS)
def test_none_stands_for_a_default(method):
    slot = SLOT.get(method, "post")
    none = {slot: None, "weighter": None}
    assert step(adapter(method, "ce", hook_kwargs=none, inference_fn=None)) == step(adapter(method, "ce"))
    made = adapter(method, "ce", inference_fn=None)
    made.models.eval()
    with torch.no_grad():
        found = made.inference(batch()["target_imgs"])["logits"]
        assert found.equal(type(made).infer(x=batch()["target_imgs"], models=made.models)["logits"])


@pytest.mark.parametrize("method", METHODS)
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


@pytest.mark.parametrize("method", METHODS)
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
