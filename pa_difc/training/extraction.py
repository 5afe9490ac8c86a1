"""Extracts what heads on frozen features need in one pass: features, and a pretrained classifier's predictions."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..backbones.classifiers import PretrainedClassifier
from ..backbones.trunk import Maps, Trunk
from ..data.faces import Face, Samples
from ..data.loaders import EvalLoader
from ..data.views import views_of
from ..methods.hooks import eval_mode
from ..methods.slot import LossSlot
from ..util.errors import UserError

Arrays = dict[str, NDArray[np.float32]]

#: Faces in a batch: a large network's maps of 256 take gigabytes, and 64 are no slower.
_BATCH = 64


@dataclass(frozen=True)
class Part:
    """A set of faces, and what to extract from them.

    Attributes:
        faces: the set.
        views: the views of each face, see :func:`.data.views.views_of`.
        classifier: the pretrained classifier whose predictions to keep; None: none.
    """

    faces: Samples
    views: str = "none"
    classifier: PretrainedClassifier | None = None

    @cached_property
    def num_views(self) -> int:
        """The number of views, including the unchanged face."""
        return len(views_of(Face(torch.zeros(1, 3, 32, 32), torch.zeros(1, 5, 2)), self.views))

    @property
    def names(self) -> list[str]:
        """The names of its arrays: "", "_view1", …, and with a classifier "_log_probs", "_view1_log_probs", …"""
        views = ["", *(f"_view{i}" for i in range(1, self.num_views))]
        return views + [f"{view}_log_probs" for view in views if self.classifier is not None]

    def size(self, num_features: int, num_classes: int) -> int:
        """The size of its arrays, in bytes."""
        width = num_features + (num_classes if self.classifier is not None else 0)
        return 4 * len(self.faces) * self.num_views * width


def require_space(parts: Collection[Part], num_features: int, num_classes: int, store: Path, *, kept: int = 0) -> None:
    """Prints how large a file of features will be, and checks the free disk space.

    Args:
        parts: its parts.
        num_features, num_classes: the network's numbers of features and classes.
        store: the file.
        kept: bytes of chunks that exist already.

    Raises:
        UserError: there is too little space for the file and its chunks.
    """
    rows = sum(len(part.faces) * part.num_views for part in parts)
    size = sum(part.size(num_features, num_classes) for part in parts)
    folder = next(place for place in store.absolute().parents if place.exists())
    free = shutil.disk_usage(folder).free
    what = f"features: {rows:,} × {num_features:,} numbers, {_megabytes(size)}"
    if free < 2 * size - kept:
        much = "and as much while they are made"
        raise UserError(f"{what}, {much}: {folder} has {_megabytes(free)} free; give another --out")
    print(f"{what} → {store}", flush=True)


@torch.no_grad()
def extracted(adapter: LossSlot, part: Part, device: torch.device | str) -> Arrays:
    """Extracts the arrays of a part, named by :attr:`Part.names`: features ``(N, D)`` and log probabilities ``(N, K)``.

    Args:
        adapter: a method whose extractor is called "G".
        part: the faces.
        device: the device for batches.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in part.names}
    if torch.device(device).type == "cpu":  # takes 0.65 of the time of a MobileFaceNet, 0.90 of a ResNet-18
        adapter.models["G"].to(memory_format=torch.channels_last)
    with eval_mode(*adapter.models.values()), _averages(adapter.models["G"]) as averages:
        for views in EvalLoader(part.faces, batch_size=_BATCH, device=device).views(part.views):
            for number, view in enumerate(views):
                name = f"_view{number}" if number else ""
                features = adapter.inference(view, domain=1)["features"].float()
                found[name].append(features.cpu())
                if part.classifier is not None:
                    logits = part.classifier.logits(part.classifier.choose(features, *averages))
                    found[f"{name}_log_probs"].append(logits.float().log_softmax(dim=1).cpu())
    return {name: torch.cat(batches).numpy() for name, batches in found.items()}


@contextmanager
def _averages(extractor: nn.Module) -> Iterator[list[Tensor]]:
    """Yields a list that holds the averaged last map of an extractor's latest batch; it stays empty without maps.

    Published classifiers take this average, even where the features are something else.
    """
    averages: list[Tensor] = []

    def keep(trunk: nn.Module, given: tuple[Tensor], maps: Maps) -> None:
        averages[:] = [maps.last.mean((2, 3)).float()]

    trunk = getattr(extractor, "trunk", None)
    hooks = [trunk.register_forward_hook(keep)] if isinstance(trunk, Trunk) else []
    try:
        yield averages
    finally:
        for hook in hooks:
            hook.remove()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
