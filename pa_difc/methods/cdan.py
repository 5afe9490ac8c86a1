"""Conditional domain-adversarial training (CDAN+E; "CADA" in the paper's tables): Long et al. 2018, arXiv:1705.10667.

    min_{G,C,D}  L_cls(C(f_s), y_s) + Σ_{d ∈ {s,t}} Σ_i w_i BCE(D(R_λ(f_i) ⊗ stopgrad p_i), d) / Σ_i w_i

f = G(x), p = softmax(C(f)), w = 1 + e^(−H(p)): the discriminator sees features conditioned on predictions, and
confident samples weigh more. λ ramps from 0 to weight as in DANN. If K·D exceeds 4,096, the paper's randomised
multilinear map to 1,024 features replaces f ⊗ p.

The weights are normalised per domain, as in the authors' code. (The Transfer-Learning-Library normalises over both
domains at once, so that the one with more confident predictions counts more: with a source entropy of 0 and a target
entropy of 1, its source term is 1.19 times this one and its target term 0.81 times.)

Differs from the authors' code: no gradient passes through w (there a reversed one does), and the two domains' losses
are summed (there averaged).
"""

from dataclasses import dataclass
from typing import Any

import torch
from pytorch_adapt.layers import EntropyLoss, RandomizedDotProduct
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ..util.options import option
from .heads import ClassifierFactory, discriminator
from .penalty import PenaltyMethod, Step
from .reversal import Ramped


class ConditionalDiscriminator(nn.Module):
    """A domain discriminator on features and class probabilities: ``(N, D)``, ``(N, K)`` -> ``(N,)`` logits.

    pytorch-adapt's CDANNEHook (hooks/dann.py:188) hard-codes its softmax and lets gradients into the predictions.

    Args:
        num_features: D.
        num_classes: K.
        largest_product: largest K·D for which the full product is used.
        random_features: size of the randomised product above that.
    """

    def __init__(self, num_features: int, num_classes: int, largest_product: int, random_features: int) -> None:
        super().__init__()
        product = num_features * num_classes
        self.random = None
        if product > largest_product:
            self.random = RandomizedDotProduct([num_features, num_classes], random_features)
        self.net = discriminator(product if self.random is None else random_features)

    def forward(self, features: Tensor, probs: Tensor) -> Tensor:
        if self.random is not None:
            product = self.random(features, probs)
        else:
            product = (probs[:, :, None] * features[:, None, :]).flatten(1)
        logits: Tensor = self.net(product)
        return logits


class CDAN(Ramped, PenaltyMethod):
    """CDAN with entropy conditioning (CDAN+E) and any classification loss.

    Args:
        ramp_steps: see :class:`.reversal.Ramped`.
        **kwargs: see :class:`.slot.LossSlot`.
    """

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        """Options of CDAN."""

        weight: float = option(1.0, "largest λ of the gradient reversal", at_least=0)
        largest_product: int = option(4096, "largest K·D for which f ⊗ p is taken whole", unit="features", at_least=0)
        random_features: int = option(1024, "size of the randomised product beyond that", unit="features", at_least=1)

    options: Options
    about = "as dann, with features and predictions together"
    extra_models = ("D",)
    loss_name = "domain_loss"
    loss_weight = 1.0  # λ is in the gradient reversal; the discriminator's own gradient has weight 1

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        options = options or cls.Options()
        sizes = (num_features, num_classes, options.largest_product, options.random_features)
        return {
            **super().heads(num_features, num_classes, make=make, options=options),
            "D": ConditionalDiscriminator(*sizes),
        }

    def penalty(self, step: Step) -> Tensor:
        source = self._domain_loss(step.src_features, step.src_logits, 0.0)
        return source + self._domain_loss(step.target_features, step.target_logits, 1.0)

    def _domain_loss(self, features: Tensor, logits: Tensor, domain: float) -> Tensor:
        logits = logits.detach()
        weights = 1 + torch.exp(-EntropyLoss(return_mean=False)(logits))  # (N,)
        guesses = self.models["D"](self.reversal(features), logits.softmax(dim=1))  # (N,)
        losses = binary_cross_entropy_with_logits(guesses, torch.full_like(guesses, domain), reduction="none")
        return (weights * losses).sum() / weights.sum()
