"""Locality-preserving loss (LPL, DLP-CNN).

Li et al. 2017, CVPR, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the
Wild", eq. 5:

    min_{G,C}  L_cls(C(f_s), y_s) + λ/2 · mean_i ‖f_i − mean_{j ∈ N_k(i)} f_j‖²

N_k(i) are the k nearest samples of i's class in the batch; λ = 0.003 and k = 20 could not be verified. The neighbours'
mean has no gradient, so that the gradient is λ (f_i − mean f_j) / N, as the paper gives it below eq. 5. LPL uses the
source only: a source-only baseline with tighter classes, no domain adaptation.

Differs from the CD-FER benchmark, whose code gives this term no gradient and so trains plain cross-entropy. A batch of
32 has fewer than 20 samples of most classes; then all of them are neighbours.
"""

from dataclasses import dataclass

import torch
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor

from ..functional import at_least_float32
from ..util.options import option
from .penalty import PenaltyMethod, Step


class LPL(PenaltyMethod):
    """LPL with any classification loss.

    Arguments are those of :class:`.slot.LossSlot`.
    """

    @dataclass(frozen=True)
    class Options(PenaltyMethod.Options):
        """Options of LPL."""

        weight: float = option(0.003, "λ, the factor on the locality loss", at_least=0)
        neighbours: int = option(20, "k, nearest samples of the same class in the batch", at_least=1)

    options: Options
    about = "source only, each sample pulled towards its neighbours of the same class"
    reads_labels = True
    loss_name = "locality_loss"
    uses_target = False

    def penalty(self, step: Step) -> Tensor:
        return 0.5 * locality(step.src_features, step.src_labels, self.options.neighbours)


def locality(features: Tensor, labels: Tensor, k: int) -> Tensor:
    """Mean squared distance of samples to the centre of their k nearest samples of the same class, a scalar.

    Centres have no gradient.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)``.
        k: neighbours, or all if a class has fewer; a sample alone in its class adds 0.
    """
    features = at_least_float32(features)
    n = len(features)
    with torch.no_grad():
        distances = LpDistance(normalize_embeddings=False)(features)  # (N, N)
        allowed = (labels[:, None] == labels[None, :]) & ~torch.eye(n, dtype=torch.bool, device=labels.device)
        order = distances.where(allowed, torch.inf).argsort(dim=1).argsort(dim=1)  # (N, N): rank of j for i
        weights = ((order < k) & allowed).to(features)  # (N, N)
        counts = weights.sum(dim=1, keepdim=True)
        centres = weights @ features / counts.clamp(min=1)
    loss: Tensor = ((features - centres).square().sum(dim=1) * (counts[:, 0] > 0)).mean()
    return loss
