"""Predictions of a trained method: one way for every method, the mean of the softmaxes where it has several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..data.loaders import EvalLoader
from ..methods.hooks import eval_mode


class Adapter(Protocol):
    """The parts of a method that prediction needs."""

    @property
    def models(self) -> Mapping[str, nn.Module]:
        """Its networks by name."""

    def inference(self, x: Any, domain: Any) -> Mapping[str, Tensor]:
        """Returns "features" ``(N, D)`` and "logits" ``(N, K)``."""


@dataclass(frozen=True)
class Predictions:
    """A method's predictions for a set of faces, in the set's order, on the CPU."""

    probs: Tensor  #: ``(N, K)`` class probabilities
    features: Tensor  #: ``(N, D)``


@torch.no_grad()
def predict(adapter: Adapter, loader: EvalLoader, domain: int = 1, views: str = "none") -> Predictions:
    """Predicts a whole domain in eval mode; the models' modes are restored afterwards.

    Args:
        adapter: a trained method.
        loader: the faces.
        domain: 0 for the source, 1 for the target; only methods with domain-specific parts use it.
        views: the views of each face whose probabilities are averaged, see :func:`.data.views.views_of`; features are
            those of the unchanged face.
    """
    probs, features = [], []
    with eval_mode(*adapter.models.values()):
        for batch in loader.views(views) if views != "none" else ([faces] for faces in loader):
            outs = [adapter.inference(view, domain=domain) for view in batch]
            probs.append(torch.stack([out["logits"].softmax(dim=1).float() for out in outs]).mean(dim=0).cpu())
            features.append(outs[0]["features"].float().cpu())
    return Predictions(torch.cat(probs), torch.cat(features))
