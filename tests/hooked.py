"""Every method on points in a few classes, with hooks of the host's added to it."""

import copy
from functools import partial

import torch
from pytorch_adapt.containers import Misc, Models, Optimizers
from pytorch_adapt.hooks import (
    AFNHook,
    AlignerHook,
    BNMHook,
    BSPHook,
    FeaturesAndLogitsHook,
    MCCHook,
    TargetDiversityHook,
    TargetEntropyHook,
    VATHook,
)
from pytorch_adapt.hooks.utils import ApplyToListHook
from steps import batch as points

from pa_difc import METHODS, Schedule

N, K, D = 12, 4, 6

batch = partial(points, n=N, m=N, k=K, d=D)

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
    "sentry": "sentry_loss",
    "mcc": "class_confusion_loss",
    "adamatch": "self_training_loss",
    "mean_teacher": "self_training_loss",
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
