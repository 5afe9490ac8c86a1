"""Predictions of a trained method: one way for every method, the mean of the softmaxes where it has several."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.loaders import EvalLoader
from ..methods import LossSlot
from ..methods.hooks import eval_mode


@dataclass(frozen=True)
class Predictions:
    """What a method says of a set of faces, in the set's order, on the CPU."""

    probs: Tensor  #: ``(N, K)`` class probabilities
    features: Tensor  #: ``(N, D)``


@torch.no_grad()
def predict(adapter: LossSlot, loader: EvalLoader, domain: int = 1) -> Predictions:
    """Predicts a whole domain in eval mode; the models' modes are put back afterwards.

    Args:
        adapter: a method.
        loader: the faces.
        domain: 0 for the source, 1 for the target; only methods with domain-wise parts look at it.
    """
    probs, features = [], []
    with eval_mode(*adapter.models.values()):
        for faces in loader:
            out = adapter.inference(faces, domain=domain)
            probs.append(out["logits"].softmax(dim=1).float().cpu())
            features.append(out["features"].float().cpu())
    return Predictions(torch.cat(probs), torch.cat(features))
