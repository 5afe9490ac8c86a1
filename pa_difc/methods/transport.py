"""Optimal transport by POT (Flamary et al. 2021), in double precision and without gradients."""

import numpy as np
import torch
from torch import Tensor


def unbalanced_plan(costs: Tensor, epsilon: float, tau: float) -> Tensor:
    """The unbalanced entropic plan of a batch (Chizat et al. 2018, arXiv:1607.05816).

    Args:
        costs: ``(N, M)``, not negative.
        epsilon: of the entropy, in units of the largest cost.
        tau: of the marginals' penalty, likewise.

    Returns:
        π ``(N, M)`` on the costs' device, a constant.
    """
    import ot  # takes a while to import, and only this method needs it

    matrix = costs.double().cpu().numpy()
    scale = max(float(matrix.max()), np.finfo(np.float64).tiny)
    uniform = [np.full(n, 1 / n) for n in matrix.shape]
    plan = ot.unbalanced.sinkhorn_knopp_unbalanced(*uniform, matrix / scale, epsilon, tau)
    return torch.from_numpy(np.asarray(plan)).to(costs)
