"""The sides of comparisons: batches of faces, our methods, and the host's own adapters, on equal models."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from made import random_faces
from pytorch_adapt import adapters as host
from pytorch_adapt.containers import Models, Optimizers
from pytorch_adapt.hooks import AFNHook

from pa_difc import METHODS, DIFCLoss, Schedule
from pa_difc.backbones import BACKBONES
from pa_difc.backbones.make import make_backbone
from pa_difc.backbones.speed import for_speed
from pa_difc.data import PairLoader

#: RAF-DB's training split, in our class order.
COUNTS = [1290, 281, 717, 4772, 1982, 705, 2524]

#: The methods of which the host has its own adapter.
OF_THE_HOST = {"mcd": (host.MCD, {}), "dann": (host.DANN, {}), "safn": (host.Classifier, {"post": [AFNHook()]})}


def confusing(counts=COUNTS, steps_per_epoch=10):
    """DIFC with both phases on, so that every step estimates confusion, and every tenth refreshes the margins."""
    return DIFCLoss(counts, Schedule(steps_per_epoch, confusion_epoch=0, reweight_epoch=0))


def loader(steps=8, size_px=48, device="cpu"):
    source, target = (random_faces(32 * steps, seed, size_px) for seed in (1, 2))
    return PairLoader(source, target, device=device)


def batches(steps=8, size_px=48, device="cpu"):
    """Batches without end, of which the first are kept and come again."""
    return itertools.cycle(list(loader(steps, size_px, device).epoch(0)))


def models(method: str, backbone="small", classes=7, device="cpu", speed=None):
    """The models of a method with the same weights at each call."""
    torch.manual_seed(0)
    cls = METHODS[method]
    head = "global_local" if cls.needs_regions else BACKBONES[backbone].feature_head
    extractor = cls.extractor(make_backbone(backbone, feature_head=head))
    heads = cls.heads(extractor.num_features, classes)
    for_speed(extractor, **(speed or {}))
    made = Models({"G": extractor, **heads})
    made.to(torch.device(device))
    return made


def optimizers(lr=0.001):
    return Optimizers((torch.optim.SGD, {"lr": lr, "momentum": 0.9, "weight_decay": 5e-4}))


def ours(method: str, loss="ce", *, device="cpu", backbone="small", speed=None, **kwargs):
    """A method of ours, training."""
    cls = METHODS[method]
    adapter = cls(models(method, backbone, device=device, speed=speed), optimizers(), loss=loss, **kwargs)
    return _training(adapter, device)


def hosts(method: str, device="cpu"):
    """The host's adapter with cross-entropy, on the same models."""
    cls, hook_kwargs = OF_THE_HOST[method]
    return _training(cls(models(method, device=device), optimizers(), hook_kwargs=hook_kwargs), device)


def step(adapter, stream) -> Callable[[], object]:
    """A training step on the stream's next batch."""
    return lambda: adapter.training_step(next(stream))


def _training(adapter, device):
    adapter.models.train()
    for item in adapter.misc.values():
        if isinstance(item, torch.nn.Module):
            item.to(device)
    return adapter
