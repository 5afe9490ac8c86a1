"""Algorithms put together as the host's README and notebooks do: its hooks in the methods' slots."""

import copy

import pytest
import torch
from pytorch_adapt.containers import Misc
from pytorch_adapt.hooks import (
    AFNHook,
    AlignerHook,
    ATDOCHook,
    BNMHook,
    BSPHook,
    ISTLossHook,
    MCCHook,
    TargetDiversityHook,
    TargetEntropyHook,
    VATHook,
    VATPlusEntropyHook,
)
from pytorch_adapt.weighters import MeanWeighter
from toys import TARGET, F, K, difc, loaders, models, ours, sgd, step, theirs, weights

from pa_difc import METHODS, attach


@pytest.fixture(scope="module")
def batches():
    torch.manual_seed(0)
    return [batch for _ in range(4) for batch in loaders()["train"]]


def train(made, batches):
    made.models.train()
    return [step(made, batch, seed) for seed, batch in enumerate(batches)]


def is_in_the_difc_phase(loss):
    raised = loss.margins - loss.base_margins
    return loss.phase.value == "difc" and raised.max() == pytest.approx(0.5, abs=1e-5) and raised.min() > 0


def with_combined_model(method, **kwargs):
    made = models(method)
    misc = Misc({"combined_model": torch.nn.Sequential(made["G"], made["C"])})
    return METHODS[method](made, sgd(), misc=misc, loss=difc(), **kwargs)


DANNS = {
    "minimum class confusion": lambda: ([MCCHook()], ["mcc_loss"]),
    "with pseudo labels": lambda: ([MCCHook(), ATDOCHook(TARGET, F, K)], ["mcc_loss", "pseudo_label_loss"]),
    "virtual adversarial": lambda: ([MCCHook(), VATHook()], ["mcc_loss", "src_vat_loss", "target_vat_loss"]),
    "as VADA": lambda: ([VATPlusEntropyHook()], ["target_vat_loss", "entropy_loss"]),
    "information maximisation": lambda: (
        [ISTLossHook(), TargetEntropyHook(), TargetDiversityHook()],
        ["ist_loss", "entropy_loss", "diversity_loss"],
    ),
}


@pytest.mark.parametrize("name", DANNS)
def test_dann_with_more(name, batches):
    hooks, losses = DANNS[name]()
    made = with_combined_model("dann", hook_kwargs={"post_g": hooks})
    found = train(made, batches)
    assert is_in_the_difc_phase(made.loss)
    own = {"src_domain_loss", "target_domain_loss", "src_c_loss", "total"}
    assert found[-1]["total_loss"].keys() >= own | set(losses)
    assert all(found[-1]["total_loss"][loss] != 0 for loss in losses)
    alone = with_combined_model("dann")
    train(alone, batches)
    assert (weights(made) - weights(alone)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("method", "own"),
    [("source_only", "src_c_loss"), ("safn", "afn_loss"), ("cdan", "domain_loss"), ("jumbot", "transport_loss")],
)
def test_a_large_loss_is_weighed_down_by_name(method, own, batches):
    """BSP is large, so the host's notebook gives it a weight, in a mean of the losses instead of their sum."""
    weighter = MeanWeighter(weights={"bsp_loss": 1e-5})
    made = ours(method, hook_kwargs={"post": [BSPHook(), BNMHook()], "weighter": weighter})
    losses = train(made, batches)
    first = losses[0]["total_loss"]
    parts = [value for name, value in first.items() if name != "total"]
    assert first[own] > 0.001 and 0 < first["bsp_loss"] < 0.01
    assert first["total"] == pytest.approx(sum(parts) / len(parts), rel=1e-5)
    plain = step(ours(method, hook_kwargs={"post": [BSPHook(), BNMHook()]}), batches[0])["total_loss"]
    assert first["bsp_loss"] == pytest.approx(1e-5 * plain["bsp_loss"], rel=1e-4)
    assert is_in_the_difc_phase(made.loss)


def test_mcd_with_feature_norms_in_its_first_step_and_alignment_in_its_last(batches):
    made = ours("mcd", hook_kwargs={"post_x": [AFNHook()], "post_z": [AlignerHook()]})
    last = train(made, batches)[-1]
    assert last["x_loss"]["afn_loss"] > 0 and last["z_loss"]["features_confusion_loss"] != 0
    assert last["y_loss"]["discrepancy_loss"] < 0 < last["z_loss"]["discrepancy_loss"]
    assert is_in_the_difc_phase(made.loss)


def test_pseudo_labels_go_by_the_number_of_the_sample(batches):
    """The memory of ATDOC is written at the batch's ``target_sample_idx``, which training passes on."""
    atdoc = ATDOCHook(TARGET, F, K)
    made = ours("safn", hook_kwargs={"post": [atdoc]})
    before = atdoc.labeler.pred_memory.clone()
    (losses,) = train(made, batches[:1])
    assert losses["total_loss"].keys() == {"src_c_loss", "afn_loss", "pseudo_label_loss", "total"}
    changed = (atdoc.labeler.pred_memory != before).any(dim=1).nonzero().flatten()
    assert changed.tolist() == sorted(batches[0]["target_sample_idx"].tolist())


@pytest.mark.parametrize("name", ["VADA", "CDAN", "GAN", "GVB", "MCD"])
def test_the_host_s_own_adapters_with_hooks_and_the_loss(name, batches):
    slot = {"GVB": "post_g", "MCD": "post_x"}.get(name, "post_g")
    made = theirs(name, hook_kwargs={slot: [AFNHook()]})
    last = train(made, batches)[-1]
    assert any("afn_loss" in part for part in last.values()) and is_in_the_difc_phase(made.loss)


def test_attaching_comes_before_or_after_nothing_else_that_the_user_does(batches):
    """Custom inference, before_training_starts and hooks of an adapter are what they were."""
    called = []
    made = theirs(
        "DANN",
        "ce",
        inference_fn=lambda x, domain, models, misc: {"features": x, "logits": x},
        before_training_starts=lambda adapter: lambda framework: called.append((adapter, framework)),
    )
    attach(made, difc()).before_training_starts("framework")
    assert called == [(made, "framework")]
    assert made.inference(batches[0]["src_imgs"])["logits"] is batches[0]["src_imgs"]


@pytest.mark.parametrize("method", ["source_only", "dann", "mcd", "safn"])
def test_the_same_for_ours(method, batches):
    called = []
    made = ours(
        method,
        inference_fn=lambda x, domain, models, misc: {"features": x, "logits": x},
        before_training_starts=lambda adapter: lambda framework: called.append((adapter, framework)),
    )
    made.before_training_starts("framework")
    assert called == [(made, "framework")]
    assert made.inference(batches[0]["src_imgs"])["logits"] is batches[0]["src_imgs"]


def test_one_dict_of_hook_arguments_serves_two_adapters(batches):
    """The host's VADAHook appends to the list that it is given; ours leaves the user's as it was."""
    hook_kwargs = {"post_g": [MCCHook()]}
    kept = copy.copy(hook_kwargs["post_g"])
    for _ in range(2):
        step(ours("dann", hook_kwargs=hook_kwargs), batches[0])
    assert hook_kwargs == {"post_g": kept}
