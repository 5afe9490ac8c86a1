"""Points in four classes, the target's shifted, as the host's datasets; and adapters for them, ours and the host's."""

import copy

import torch
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import Misc, Models, Optimizers
from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
from pytorch_adapt.layers import MultipleModels, RandomizedDotProduct
from torch.utils.data import TensorDataset

from pa_difc import METHODS, DIFCLoss, Schedule, attach

K, D, F = 4, 6, 5
COUNTS = [24, 8, 12, 4]  #: of the source
TARGET = 32
BATCH = 16
STEPS = TARGET // BATCH  #: of an epoch: the host's combined dataset is as long as the target


def points(counts, shift, seed):
    """A dataset of (point, class) pairs."""
    centers = 2 * torch.randn(K, D, generator=torch.Generator().manual_seed(7))
    labels = torch.repeat_interleave(torch.arange(K), torch.tensor(counts))
    noise = torch.randn(len(labels), D, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(centers[labels] + noise + shift, labels)


def datasets():
    """The five splits that the host's ``get_*`` functions return."""
    source, target = points(COUNTS, 0.0, 0), points([TARGET // K] * K, 1.0, 1)
    return {
        "src_train": SourceDataset(source),
        "src_val": SourceDataset(points(COUNTS, 0.0, 2)),
        "target_train": TargetDataset(target),
        "target_val": TargetDataset(points([TARGET // K] * K, 1.0, 3)),
        "train": CombinedSourceAndTargetDataset(SourceDataset(source), TargetDataset(target)),
    }


def loaders(**splits):
    """The host's loaders."""
    return DataloaderCreator(batch_size=BATCH)(**(splits or datasets()))


def schedule(**kwargs):
    """Epoch 0 plain, class weights from epoch 1, confusion from epoch 2."""
    return Schedule(**{"steps_per_epoch": STEPS, "reweight_epoch": 1, "confusion_epoch": 2} | kwargs)


def difc(**kwargs):
    return DIFCLoss(COUNTS, schedule(), **{"epsilon": 0.5} | kwargs)


def models(method, seed=0):
    """G and what a method of ours needs beside it."""
    torch.manual_seed(seed)
    cls = METHODS[method]
    features = 384 if cls.needs_regions else F
    return Models({"G": torch.nn.Sequential(torch.nn.Linear(D, features), torch.nn.Tanh()), **cls.heads(features, K)})


def sgd():
    return Optimizers((torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}))


def ours(method, **kwargs):
    """A method of ours with DIFC, or another loss."""
    kwargs.setdefault("loss", difc())
    kwargs.setdefault("optimizers", sgd())
    return METHODS[method](models(method), **kwargs)


def theirs(name, loss=None, **kwargs):
    """An adapter of the host's, with DIFC attached, or another loss; ``loss="ce"`` is its own."""
    torch.manual_seed(0)
    made = {"G": torch.nn.Sequential(torch.nn.Linear(D, F), torch.nn.Tanh()), "C": torch.nn.Linear(F, K)}
    if name == "MCD":
        made["C"] = MultipleModels(torch.nn.Linear(F, K), torch.nn.Linear(F, K))
    if name in ("DANN", "CDAN", "VADA", "GAN", "GVB"):
        inputs = {"CDAN": 20, "GVB": K}.get(name, F)
        made["D"] = torch.nn.Sequential(torch.nn.Linear(inputs, 1), torch.nn.Flatten(0))
    if name == "CDAN":
        kwargs["misc"] = Misc({"feature_combiner": RandomizedDotProduct([F, K], 20)})
    kwargs.setdefault("optimizers", sgd())
    adapter = getattr(host, name)(Models(made), **kwargs)
    return adapter if loss == "ce" else attach(adapter, loss or difc())


def step(adapter, batch, seed=0):
    """One training step's losses."""
    torch.manual_seed(seed)
    return copy.deepcopy(adapter.training_step(batch))


def weights(adapter):
    """All parameters in one vector."""
    return torch.cat([p.detach().flatten() for m in adapter.models.values() for p in m.parameters()])
