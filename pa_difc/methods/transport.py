"""Unbalanced optimal transport between two batches, in double precision and without gradients."""

import numpy as np
import torch
from torch import Tensor

#: Tolerance on the change of the potentials (over ε), and the largest number of iterations.
_TOLERANCE, _MOST_STEPS = 1e-8, 10_000


def unbalanced_plan(costs: Tensor, epsilon: float, tau: float) -> Tensor:
    """The unbalanced entropic plan between uniform batches (Chizat et al. 2018, arXiv:1607.05816).

        min_π  Σ_ij π_ij c_ij + ε Σ_ij π_ij (log π_ij − 1) + τ KL(π 1 | 1/N) + τ KL(πᵀ 1 | 1/M)

    The solution is π_ij = e^((f_i + g_j − c_ij) / ε) with f_i = −τ log(N Σ_j π_ij) and g_j likewise. Its mass is not 1:
    if all costs equal c, it is (NM)^(ε / (2τ + ε)) e^(−c / (2τ + ε)).

    The regulariser is the entropy, as in ``ot.unbalanced.sinkhorn_knopp_unbalanced`` up to POT 0.9.4; from 0.9.5 on,
    its default is KL(π | 1/NM), without the factor (NM)^(ε / (2τ + ε)). The iteration runs in the log domain, as e^(−c
    / ε) underflows for c above 745 ε.

    Args:
        costs: c ``(N, M)``.
        epsilon: ε, in units of the costs.
        tau: τ, in units of the costs.

    Returns:
        π ``(N, M)`` on the costs' device, without gradient.
    """
    exponents = -costs.detach().double().cpu().numpy() / epsilon  # (N, M)
    n, m = exponents.shape
    damping = tau / (tau + epsilon)
    f, g = np.zeros(n), np.zeros(m)  # potentials over ε
    for _ in range(_MOST_STEPS):
        before = f, g
        f = -damping * (np.log(n) + _log_sum_exp(exponents + g, axis=1))
        g = -damping * (np.log(m) + _log_sum_exp(exponents + f[:, None], axis=0))
        change = np.abs(f - before[0]).max() + np.abs(g - before[1]).max()
        if not change >= _TOLERANCE:  # stops on NaN, too
            break
    return torch.from_numpy(np.exp(exponents + f[:, None] + g)).to(costs)


def _log_sum_exp(x: np.ndarray, axis: int) -> np.ndarray:
    largest = x.max(axis=axis, keepdims=True)
    summed: np.ndarray = np.log(np.exp(x - largest).sum(axis=axis)) + largest.squeeze(axis)
    return summed
