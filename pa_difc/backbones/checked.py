"""Checks a plugin's backbone: its features must depend on one face alone, and be as many as it says."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..data.faces import Face
from ..util.errors import UserError

_FACES = 4
#: Tolerance, relative to the largest feature: a batch may be summed in another order than a single face.
_TOLERANCE = 1e-3


def require_features(name: str, backbone: nn.Module, size_px: int) -> None:
    """Refuses a backbone whose predictions would depend on the batch or on chance; it is applied to faces of noise.

    A copy is applied, so that neither the backbone nor the random numbers of training change.

    Args:
        name: its name, for errors.
        backbone: the backbone.
        size_px: side of the faces.

    Raises:
        UserError: it has no ``num_features`` or returns another number, or features in eval mode differ in a second
            pass or between a batch and single faces.
    """
    what = f"backbone {name!r}"
    if not isinstance(number := getattr(backbone, "num_features", None), int):
        raise UserError(f"{what} has num_features={number!r}: must be the number of its features, an int")
    try:
        copied = copy.deepcopy(backbone).eval()
    except Exception:  # not everything can be copied
        return
    random = torch.Generator().manual_seed(0)
    landmarks = size_px * (0.2 + 0.6 * torch.rand(_FACES, 5, 2, generator=random))
    faces = Face(torch.rand(_FACES, 3, size_px, size_px, generator=random), landmarks)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        first = _features(what, copied(faces), number)
        again = copied(faces)
        alone = torch.cat([copied(Face(faces.image[i : i + 1], landmarks[i : i + 1])) for i in range(_FACES)])
    if not _same(first, again):
        raise UserError(
            f"{what}: features in eval mode differ when the same faces are passed again: nothing may be random or "
            "change there (F.dropout needs training=self.training)"
        )
    if not _same(first, alone):
        raise UserError(
            f"{what}: features in eval mode differ between a batch and its single faces: they must depend on one face "
            "alone, without means over the batch"
        )


def _features(what: str, features: Any, number: int) -> Tensor:
    if not isinstance(features, Tensor) or features.dim() != 2 or len(features) != _FACES:
        kind = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else f"type {type(features).__name__}"
        raise UserError(f"{what} returns features of {kind} for {_FACES} faces: must be (N, num_features)")
    if features.shape[1] != number:
        raise UserError(f"{what} has num_features={number} but returns {features.shape[1]}: must be the same number")
    return features


def _same(one: Tensor, other: Tensor) -> bool:
    most = one[one.isfinite()].abs().max().item() if one.isfinite().any() else 0.0
    return one.shape == other.shape and one.allclose(other, rtol=0, atol=_TOLERANCE * most, equal_nan=True)
