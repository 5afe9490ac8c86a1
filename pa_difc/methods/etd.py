"""Enhanced transport distance (ETD): Li et al. 2020, CVPR, "Enhanced Transport Distance for UDA".

    min_{G,C}  L_cls(C(f_s), y_s) + weight · [ Σ_ij π_ij a_ij ‖f_i − f_j‖² + H ]
    max_{u,v}  mean u(f_s) + mean v(f_t) − ε mean_ij exp((u_i + v_j − c_ij) / ε),   c_ij = a_ij ‖f_i − f_j‖²

a_ij is an attention between source and target samples that re-weights the distance; u and v are the Kantorovich
potentials of the entropic transport, learnt as networks (so that they carry over between batches);
π_ij = exp((u_i + v_j − c_ij) / ε) / NM is their plan, and H the mean entropy of target predictions.

Differs from the paper, whose code is not public: attention is M times the row softmax of f_i·f_j / √D, without gradient
and without layers of its own; before attention, distances are divided by their batch mean; weight also scales the
potentials' gradient; plans are clipped at 10 times the uniform one. The paper's ε, weight and factor on H could not be
verified; 0.5, 0.1 and 0.1 are this package's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pytorch_adapt.layers import EntropyLoss
from torch import Tensor, nn

from ..functional import at_least_float32
from ..util.options import option
from .heads import ClassifierFactory
from .penalty import PenaltyMethod, Step


class ETD(PenaltyMethod):
    """ETD with any classification loss.

    Arguments are those of :class:`.slot.LossSlot`.
    """

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        """Options of ETD."""

        weight: float = option(0.1, "factor on transport and entropy", at_least=0)
        epsilon: float = option(0.5, "ε, the factor on the plan's entropy", unit="mean costs", above=0)
        entropy_weight: float = option(0.1, "factor on H, the entropy of target predictions", at_least=0)
        largest_plan: float = option(10.0, "where plans are clipped", unit="uniform plans", above=0)

    options: Options
    about = "optimal transport with attention-weighted distances and learnt potentials"
    extra_models = ("U", "V")
    loss_name = "transport_loss"

    @classmethod
    def heads(
        cls, num_features: int, num_classes: int, make: ClassifierFactory | None = None, options: Any = None
    ) -> dict[str, nn.Module]:
        potentials = {name: _potential(num_features) for name in ("U", "V")}
        return {**super().heads(num_features, num_classes, make=make, options=options), **potentials}

    def penalty(self, step: Step) -> Tensor:
        costs = attended_costs(step.src_features, step.target_features)  # (N, M)
        u = self.models["U"](step.src_features.detach()).flatten()
        v = self.models["V"](step.target_features.detach()).flatten()
        gain, plan = dual(u, v, costs.detach(), self.options.epsilon, self.options.largest_plan)
        transport = (plan * costs).mean()
        entropy = EntropyLoss()(step.target_logits)
        # Potentials maximise the dual, features minimise the cost; neither gets the other's gradient.
        loss: Tensor = transport - gain + self.options.entropy_weight * entropy
        return loss


def attended_costs(source: Tensor, target: Tensor) -> Tensor:
    """c ``(N, M)``: attention times squared distances, in units of the mean squared distance."""
    with torch.no_grad():
        attention = (source @ target.T / source.shape[1] ** 0.5).softmax(dim=1) * len(target)
    distances = torch.cdist(at_least_float32(source), at_least_float32(target)).square()
    costs: Tensor = attention * distances / distances.detach().mean().clamp(min=1e-12)
    return costs


def dual(u: Tensor, v: Tensor, costs: Tensor, epsilon: float, largest_plan: float) -> tuple[Tensor, Tensor]:
    """The dual value of entropic transport, and its plan relative to the uniform one, without gradient.

    Args:
        u, v: potentials ``(N,)`` and ``(M,)``.
        costs: ``(N, M)``.
        epsilon: ε.
        largest_plan: where the plan is clipped, in units of the uniform one.

    Returns:
        A scalar, and the plan ``(N, M)``, whose mean is 1 at the optimum.
    """
    exponent = (u[:, None] + v[None, :] - costs) / epsilon
    # Beyond the clip the exponential continues as its tangent, so that a bad potential still gets a gradient.
    edge = torch.tensor(largest_plan).log().to(exponent)
    growth = exponent.clamp(max=edge).exp() + largest_plan * (exponent - edge).clamp(min=0)
    return u.mean() + v.mean() - epsilon * growth.mean(), exponent.detach().clamp(max=edge).exp()


def _potential(num_features: int, hidden: int = 64) -> nn.Module:
    return nn.Sequential(nn.Linear(num_features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
