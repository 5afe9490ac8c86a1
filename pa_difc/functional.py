"""The paper's equations as pure functions: tensors in, tensors out.

Equation numbers are those of Sreenivas et al. 2022 (DIFC). K is the number of classes, N a number of samples, N_k the
number of source samples of class k. Margins are in logit units.

Losses are computed in float32 or float64 and confusion in float64, whatever the precision of the logits: bfloat16 can
neither represent an increment of 0.02 next to a logit of 8 nor count beyond 256.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .counts import Counts, require_no_proportions, usable_counts

#: Lower bound on the gap between the two largest probabilities; keeps eq. 5 finite on ties.
MIN_GAP = 1e-6


def at_least_float32(values: Tensor) -> Tensor:
    """Casts half precision to float32; leaves float32 and float64 unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def imbalance_ratio(class_counts: Counts) -> Tensor:
    """How many times larger each class is than the smallest one.

    ratio_k = N_k / min_j N_j (Sreenivas et al. 2022, eq. 1).

    Args:
        class_counts: ``(K,)`` samples per class.

    Returns:
        ``(K,)``, at least 1 everywhere.

    Raises:
        ValueError: a class has no sample.

    Example:
        >>> imbalance_ratio([10, 5, 20])
        tensor([2., 1., 4.])
    """
    counts, dtype = usable_counts(class_counts)
    return (counts / counts.min()).to(dtype)


def class_margins(class_counts: Counts, max_margin: float = 0.3) -> Tensor:
    """Class margins that grow with rarity; the rarest class gets ``max_margin``.

    Δ_k = γ / N_k^(1/4) with γ = max_margin · min_j N_j^(1/4) (Sreenivas et al. 2022, eq. 3 and section 5.2;
    Cao et al. 2019, arXiv:1906.07413, eq. 13).

    Args:
        class_counts: ``(K,)`` source samples per class.
        max_margin: the cap, in logit units; γ follows from it.

    Returns:
        ``(K,)`` margins in logit units.

    Raises:
        ValueError: a class has no source sample, or ``max_margin`` is negative or not finite.

    Example:
        >>> class_margins([16, 1, 81])
        tensor([0.1500, 0.3000, 0.1000])
    """
    _check_size("max_margin", max_margin)
    counts, dtype = usable_counts(class_counts)
    return (max_margin * (counts.min() / counts) ** 0.25).to(dtype)


def drw_weights(class_counts: Counts, beta: float = 0.9999) -> Tensor:
    """Class weights for deferred re-weighting: the inverse effective number of samples, scaled to a mean of 1.

    w_k ∝ (1 − β) / (1 − β^N_k), scaled so that Σ_k w_k = K (Cui et al. 2019, arXiv:1901.05555, eq. 2).
    β = 0 gives equal weights. As β → 1 the weights approach inverse frequencies, which β = 1 returns.

    Args:
        class_counts: ``(K,)`` source samples per class.
        beta: in [0, 1].

    Returns:
        ``(K,)`` weights that sum to K.

    Raises:
        ValueError: a class has no source sample, the counts look like proportions, or ``beta`` lies outside [0, 1].

    Example:
        >>> drw_weights([100, 100])
        tensor([1., 1.])
    """
    require_number("beta", beta)
    if not 0.0 <= beta <= 1.0:
        raise ValueError(f"{beta=}: must be in [0, 1]")
    counts, dtype = usable_counts(class_counts)
    require_no_proportions(counts)
    if beta == 1.0:
        inverse = 1.0 / counts
    else:
        # 1 − β^N = −expm1(N·log β): subtracting a β^N close to 1 would cancel all digits.
        log_beta = torch.log(torch.tensor(beta, dtype=counts.dtype, device=counts.device))
        inverse = (1.0 - beta) / -torch.expm1(counts * log_beta)
    return (inverse * (counts.numel() / inverse.sum())).to(dtype)


def di_loss(
    logits: Tensor,
    labels: Tensor,
    margins: Tensor,
    class_weights: Tensor | None = None,
    scale: float = 1.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy in which the true class must win by its margin.

    CE(s·(z − Δ_y·onehot(y)), q) (Sreenivas et al. 2022, eq. 3), averaged as Σ w_y·ℓ / Σ w_y. In the paper q =
    onehot(y); label smoothing makes it q = (1 − α)·onehot(y) + α/K, with the same lowered logits and the true class's
    weight.

    Args:
        logits: ``(N, K)``.
        labels: ``(N,)`` integers in [0, K).
        margins: ``(K,)`` in logit units.
        class_weights: ``(K,)``, or None for ones.
        scale: s; 1 as in the paper, 30 in Cao et al. 2019, whose logits are cosines.
        label_smoothing: α, in [0, 1].

    Returns:
        A scalar of at least float32.

    Raises:
        ValueError: the shapes don't match.
    """
    if logits.dim() != 2 or labels.shape != logits.shape[:1] or margins.shape != logits.shape[1:]:
        raise ValueError(
            f"logits {tuple(logits.shape)}, labels {tuple(labels.shape)}, margins {tuple(margins.shape)}: "
            "must be (N, K), (N,), (K,)"
        )
    logits, labels = at_least_float32(logits), labels.long()
    onehot = F.one_hot(labels, logits.shape[1]).to(logits.dtype)  # (N, K)
    lowered = logits - onehot * margins.to(logits.dtype)  # (N, K): only the true class's logit moves
    losses = F.cross_entropy(scale * lowered, labels, reduction="none", label_smoothing=label_smoothing)  # (N,)
    if class_weights is None:
        return losses.mean()
    weights = class_weights.to(logits.dtype)[labels]  # (N,)
    return (weights * losses).sum() / weights.sum()


def logit_spread(logits: Tensor) -> Tensor:
    """Spread of a batch's logits: their standard deviation over classes, averaged over samples.

    Differs from the paper: there margins are in logit units, whatever the scale of a network's logits.

    Args:
        logits: ``(N, K)``.

    Returns:
        A scalar without gradient; 0 for an empty batch.

    Example:
        >>> logit_spread(torch.tensor([[2.0, 0.0], [0.0, 6.0]]))
        tensor(2.)
    """
    logits = at_least_float32(logits.detach())
    return logits.std(dim=1, correction=0).mean() if len(logits) else logits.new_zeros(())


def mean_probs(logits: Tensor | Sequence[Tensor], scale: float = 1.0) -> Tensor:
    """Class probabilities: the softmax, or the mean of several classifiers' softmaxes.

    p = ½ (softmax(z₁) + softmax(z₂)) (Sreenivas et al. 2022, eq. 8).

    Args:
        logits: ``(N, K)``, or one such tensor per classifier.
        scale: s, the same as in the loss that trained them.

    Returns:
        ``(N, K)`` probabilities, in float32 or wider.
    """
    if isinstance(logits, Tensor):
        return (scale * at_least_float32(logits)).softmax(dim=1)
    return torch.stack([mean_probs(z, scale) for z in logits]).mean(dim=0)


def gap_sums(probs: Tensor) -> tuple[Tensor, Tensor]:
    """Sums from which class confusion is computed; those of several batches can be added up.

    A sample counts towards its argmax, the first class of a tie, as in every prediction. A sample with a non-finite
    probability is left out.

    Args:
        probs: ``(N, K)`` class probabilities of target samples.

    Returns:
        ``(K,)`` sums of the gap between the two largest probabilities over the samples predicted as each class
        (the sets S_k of eq. 4), and ``(K,)`` sizes of these sets; both in float64.

    Raises:
        ValueError: ``probs`` is not ``(N, K)`` with K of at least 2.
    """
    if probs.dim() != 2 or probs.shape[1] < 2:
        raise ValueError(f"probs {tuple(probs.shape)}: must be (N, K) with K of at least 2")
    probs = probs.double()
    top = probs.topk(2, dim=1).values  # (N, 2); its indices may be any class of a tie
    gaps = (top[:, 0] - top[:, 1]).clamp_min(MIN_GAP)  # (N,)
    # One-hot sums rather than index_add, whose order of summation on CUDA varies: margins must be reproducible.
    known = probs.isfinite().all(dim=1)  # (N,)
    members = F.one_hot(probs.argmax(dim=1), probs.shape[1]).to(probs.dtype) * known[:, None]  # (N, K)
    return (members * gaps.where(known, 0.0)[:, None]).sum(0), members.sum(0)


def confusion_from_sums(sums: Tensor, sizes: Tensor) -> Tensor:
    """Confusion per class from the output of :func:`gap_sums`: size over sum, +inf for an empty class."""
    inf = torch.full_like(sums, torch.inf)
    return torch.where(sizes > 0, sizes / sums, inf)


def confusion_scores(probs: Tensor) -> Tensor:
    """How confused the target samples predicted as each class are.

    conf_k = 1 / mean_{x ∈ S_k} (p¹(x) − p²(x)), S_k the samples whose argmax is k, p¹ and p² the two largest
    probabilities (Sreenivas et al. 2022, eqs. 4 and 5).

    The paper leaves the score of an empty S_k open; here it is +inf, as other classes have absorbed all of that class's
    samples. Gaps are clamped to at least 1e-6, so that ties stay finite; the argmax of a tie is its first class.

    Args:
        probs: ``(N, K)`` class probabilities of target samples.

    Returns:
        ``(K,)`` scores of at least 1, computed in float64 and returned in the precision of ``probs``, at least float32.

    Raises:
        ValueError: ``probs`` is not ``(N, K)`` with K of at least 2.

    Example:
        >>> confusion_scores(torch.tensor([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]]))
        tensor([2., 2., inf])
    """
    return confusion_from_sums(*gap_sums(probs)).to(at_least_float32(probs).dtype)


def confusion_margins(margins: Tensor, confusion: Tensor, epsilon: float = 0.02) -> Tensor:
    """Raises the margins of the classes that target predictions confuse most.

    ``Δ'_C[j] = Δ_C[j] + ε / 2^(j−1)``, C the classes sorted by confusion, largest first (Sreenivas et al. 2022,
    eq. 6). The result may exceed the cap of :func:`class_margins`.

    The paper leaves the order of equal scores open; here such classes share the increments of their ranks equally, so
    that class indices play no part. Two classes that are never predicted get (ε + ε/2) / 2 each.

    Args:
        margins: ``(K,)`` base margins; not modified.
        confusion: ``(K,)`` scores; +inf ranks first, −inf last.
        epsilon: the largest increment, in logit units.

    Returns:
        ``(K,)`` margins in the precision of ``margins``, at least float32.

    Raises:
        ValueError: shapes differ, a score is NaN, or ``epsilon`` is negative or not finite.

    Example:
        >>> confusion_margins(torch.zeros(3), torch.tensor([1.0, 5.0, 2.0]), epsilon=0.4)
        tensor([0.1000, 0.4000, 0.2000])
        >>> confusion_margins(torch.zeros(3), torch.tensor([5.0, 1.0, 5.0]), epsilon=0.4)
        tensor([0.3000, 0.1000, 0.3000])
    """
    _check_size("epsilon", epsilon)
    if margins.dim() != 1 or margins.shape != confusion.shape:
        raise ValueError(f"margins {tuple(margins.shape)} and confusion {tuple(confusion.shape)}: must both be (K,)")
    if confusion.isnan().any():
        raise ValueError(f"confusion={confusion.tolist()}: NaN has no rank")
    margins = at_least_float32(margins)
    confusion = confusion.to(margins.device)
    ahead = (confusion > confusion[:, None]).sum(1).double()  # (K,): j − 1 of eq. 6 for the first rank of a tie
    alike = (confusion == confusion[:, None]).sum(1).double()  # (K,): how many ranks the tie spans
    # Σ 2^−r over r = a … a + n − 1 is 2^(1−a) − 2^(1−a−n): for n = 1 exactly 2^−a.
    increments = epsilon * (0.5 ** (ahead - 1) - 0.5 ** (ahead + alike - 1)) / alike
    return margins + increments.to(margins.dtype)


def require_number(name: str, value: object) -> None:
    """Checks that an argument is a number, or a tensor or array of one.

    Raises:
        ValueError: it is none.
    """
    if not hasattr(value, "__float__"):
        raise ValueError(f"{name}={value!r}: must be a number")


def _check_size(name: str, value: float) -> None:
    require_number(name, value)
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{name}={value}: must be a finite number of at least 0")
