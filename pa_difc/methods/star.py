"""Stochastic classifiers (STAR): Lu et al. 2020, CVPR, "Stochastic Classifiers for Unsupervised Domain Adaptation".

    MCD (Saito et al. 2018) whose two classifiers are drawn in each forward pass:
    W = μ + softplus(s − 2) ⊙ ε,  ε ~ N(0, 1),  μ and s learnt, s = 0 in the beginning

so that infinitely many pairs of classifiers are compared for the price of two. Predictions are made with μ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from ..util.options import option
from .heads import ClassifierFactory, classifier
from .mcd import MCD


class StochasticClassifier(nn.Module):
    """A classifier with Gaussian weights: ``(N, D)`` -> a list of two logits ``(N, K)``.

    In training two draws, in eval mode twice the mean. The host's StochasticLinear begins with a σ as large as its μ.

    Args:
        mean: the classifier whose weights are μ; any module.
        initial_spread: s in the beginning.
    """

    def __init__(self, mean: nn.Module, initial_spread: float = 0.0) -> None:
        super().__init__()
        self.mean = mean
        begun = {_key(n): torch.full_like(p, initial_spread) for n, p in mean.named_parameters()}
        self.spread = nn.ParameterDict({n: nn.Parameter(s) for n, s in begun.items()})

    def forward(self, features: Tensor) -> list[Tensor]:
        if not self.training:
            logits = self.mean(features)
            return [logits, logits]
        return [functional_call(self.mean, self._draw(), (features,)) for _ in range(2)]

    def _draw(self) -> dict[str, Tensor]:
        return {
            n: p + softplus(self.spread[_key(n)] - 2) * torch.randn_like(p) for n, p in self.mean.named_parameters()
        }


class STAR(MCD):
    """:class:`.mcd.MCD` with a stochastic classifier in the place of two.

    Arguments are those of :class:`.mcd.MCD`.
    """

    @dataclass(frozen=True)
    class Options(MCD.Options):
        """Of STAR."""

        initial_spread: float = option(0.0, "s in the beginning: σ = softplus(s − 2) is 0.127 at 0")

    options: Options
    about = "as mcd, the two classifiers drawn anew from a distribution in each pass"

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory = classifier, options: Any = None
    ) -> dict[str, nn.Module]:
        options = options or cls.Options()
        return {"C": StochasticClassifier(make(num_features, num_classes), options.initial_spread)}


def _key(name: str) -> str:
    return name.replace(".", "_")  # a ParameterDict takes no dots
