"""Sliced Wasserstein discrepancy (SWD): Lee et al. 2019, arXiv:1903.04064, eq. 6.

    MCD (Saito et al. 2018) with d(x) = 1/(nM) Σ_m ‖sort(P₁ θ_m) − sort(P₂ θ_m)‖²

P₁, P₂ are the two classifiers' softmaxes ``(n, K)`` of a batch; θ_1 … θ_M are M = 128 directions, resampled each time
uniformly from the unit sphere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from pytorch_adapt.layers import MCDLoss
from torch import Tensor

from ..util.options import option
from .mcd import MCD


class SWD(MCD):
    """:class:`.mcd.MCD` with the sliced Wasserstein distance as discrepancy.

    Arguments are those of :class:`.mcd.MCD`.
    """

    @dataclass(frozen=True)
    class Options(MCD.Options):
        """Of SWD."""

        directions: int = option(128, "M, directions that a discrepancy is averaged over", at_least=1)

    options: Options
    about = "as mcd, with the Wasserstein distance of the two predictions"

    def init_hook(self, hook_kwargs: dict[str, Any]) -> None:
        # pytorch-adapt's SlicedWasserstein ignores its m (layers/sliced_wasserstein.py:18), and needs softmaxes.
        distance = partial(sliced_wasserstein, directions=self.options.directions)
        super().init_hook({"discrepancy_loss_fn": MCDLoss(dist_fn=distance), **hook_kwargs})


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int) -> Tensor:
    """Sliced Wasserstein distance: mean squared distance of two point sets, sorted along random directions, a scalar.

    Args:
        x, y: ``(n, K)``.
        directions: M.
    """
    theta = torch.nn.functional.normalize(torch.randn(x.shape[1], directions, device=x.device, dtype=x.dtype), dim=0)
    return ((x @ theta).sort(dim=0).values - (y @ theta).sort(dim=0).values).square().mean()
