"""Stochastic classifiers (STAR): Lu et al. 2020, CVPR, "Stochastic Classifiers for Unsupervised Domain Adaptation".

    MCD (Saito et al. 2018) whose two classifiers are sampled in each forward pass: W = μ + softplus(s − 2) ⊙ ε,  ε ~
    N(0, 1),  μ and s learnt, s = 0 in the beginning

so that infinitely many pairs of classifiers are compared for the cost of two. W are the weights; biases are not
sampled. Predictions use μ. Step C is repeated 5 times, as in the authors' code.

Differs from the authors' code: μ has a linear layer's default initialisation. With 128 features its standard deviation
is 0.05, so that the initial σ = 0.127 is 2.5 times as large; theirs starts from N(0, 1), with σ an eighth of it. In
step B they sample one pair of classifiers for source and target; here each of the two passes samples its own, with the
same expected gradient.
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

    The logits come from two samples of the weights in training, twice from the mean in eval mode. pytorch-adapt's
    StochasticLinear samples its bias too, and starts with a σ as large as its μ.

    Args:
        mean: the classifier whose weights are μ; any module. One-dimensional parameters, such as biases, are not
            sampled.
        initial_spread: initial value of s.
    """

    def __init__(self, mean: nn.Module, initial_spread: float = 0.0) -> None:
        super().__init__()
        self.mean = mean
        begun = {_key(n): torch.full_like(p, initial_spread) for n, p in _drawn(mean)}
        self.spread = nn.ParameterDict({n: nn.Parameter(s) for n, s in begun.items()})

    def forward(self, features: Tensor) -> list[Tensor]:
        if not self.training:
            logits = self.mean(features)
            return [logits, logits]
        return [functional_call(self.mean, self._draw(), (features,)) for _ in range(2)]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Checkpoints of earlier versions have a spread for biases, too, which predictions don't need.
        for name in {_key(n) for n, _ in self.mean.named_parameters()} - self.spread.keys():
            state_dict.pop(f"{prefix}spread.{name}", None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _draw(self) -> dict[str, Tensor]:
        return {n: p + softplus(self.spread[_key(n)] - 2) * torch.randn_like(p) for n, p in _drawn(self.mean)}


class STAR(MCD):
    """:class:`.mcd.MCD` with a stochastic classifier instead of two.

    Arguments are those of :class:`.mcd.MCD`.
    """

    @dataclass(frozen=True)
    class Options(MCD.Options):
        """Options of STAR."""

        repeat: int = option(5, "n, repetitions of step C", at_least=1)
        initial_spread: float = option(0.0, "initial value of s; σ = softplus(s − 2) is 0.127 at 0")

    options: Options
    about = "as mcd, with the two classifiers sampled from a distribution in each pass"

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        options = options or cls.Options()
        return {"C": StochasticClassifier((make or classifier)(num_features, num_classes), options.initial_spread)}


def _drawn(mean: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in mean.named_parameters() if parameter.dim() > 1]


def _key(name: str) -> str:
    return name.replace(".", "_")  # a ParameterDict takes no dots
