"""Every classification adapter of the host's on random points, and DIFC for it."""

import copy
from functools import partial

import torch
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import Misc, Models, Optimizers
from pytorch_adapt.layers import MultipleModels, PlusResidual, RandomizedDotProduct
from steps import batch as points

from pa_difc import DIFCLoss, Schedule

N, K, D, F = 12, 4, 6, 5
COUNTS = [40, 5, 20, 10]

batch = partial(points, n=N, m=N, k=K, d=D)

ADAPTERS = (
    "Classifier",
    "Finetuner",
    "Aligner",
    "RTN",
    "DANN",
    "DANNE",
    "CDANNE",
    "GVB",
    "GVBE",
    "GAN",
    "GANE",
    "CDAN",
    "CDANE",
    "VADA",
    "DomainConfusion",
    "MCD",
    "SymNets",
)
COMBINED = ("RTN", "CDANNE", "CDAN", "CDANE")
TWO = ("MCD", "SymNets")


def adapter(name, **kwargs):
    torch.manual_seed(0)
    classifiers = [torch.nn.Linear(F, K) for _ in range(2)]
    models = {"G": torch.nn.Sequential(torch.nn.Linear(D, F), torch.nn.Tanh())}
    models["C"] = MultipleModels(*classifiers) if name in TWO else classifiers[0]
    if name not in ("Classifier", "Finetuner", "Aligner", "RTN", *TWO):
        inputs = {"CDANNE": 20, "CDAN": 20, "CDANE": 20, "GVB": K, "GVBE": K}.get(name, F)
        outputs = 2 if name == "DomainConfusion" else 1
        models["D"] = torch.nn.Sequential(torch.nn.Linear(inputs, outputs), *[torch.nn.Flatten(0)] * (outputs == 1))
    if name == "RTN":
        models["residual_model"] = PlusResidual(torch.nn.Linear(K, K))
    if name in COMBINED:
        kwargs["misc"] = Misc({"feature_combiner": RandomizedDotProduct([F, K], 20)})
    keys = {"Finetuner": ["C"]}.get(name, list(models))
    made = getattr(host, name)(Models(models), Optimizers((torch.optim.SGD, {"lr": 0.05}), keys=keys), **kwargs)
    made.models.train()
    return made


def difc(**kwargs):
    return DIFCLoss(COUNTS, Schedule(steps_per_epoch=2, confusion_epoch=1, reweight_epoch=1), epsilon=0.5, **kwargs)


def train(made, steps, first=0):
    losses = []
    for seed in range(first, first + steps):
        torch.manual_seed(seed)
        losses.append(copy.deepcopy(made.training_step(batch(seed))))
    return losses


def state(made):
    return {k: getattr(made, k).state_dict() for k in ("models", "optimizers", "misc")}


def flat(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, inner in value.items() for k, v in flat(inner, f"{prefix}/{key}").items()}
