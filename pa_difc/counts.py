"""The number of samples of each class, as users give it: a list, an array, a tensor or a pandas Series."""

from collections.abc import Sequence

import torch
from torch import Tensor

Counts = Sequence[int] | Sequence[float] | Tensor


def as_counts(class_counts: Counts) -> Tensor:
    """Converts class counts to a tensor ``(K,)``; the dtype is kept.

    Raises:
        ValueError: ``class_counts`` is not a one-dimensional sequence of real numbers, or masks some, or is a pandas
            Series in another order than that of the classes, such as one of ``value_counts()``.
    """
    require_class_order("class_counts", class_counts)
    mask = getattr(class_counts, "mask", None)  # a method of a Series
    if mask is not None and not callable(mask):
        raise ValueError("class_counts is a masked array: give the number of samples of every class")
    try:
        counts = torch.as_tensor(class_counts)
    except (TypeError, RuntimeError, ValueError, OverflowError):
        raise ValueError(f"{_what(class_counts)}: must be (K,), numbers in the order of the classes") from None
    if counts.is_meta or counts.layout != torch.strided:
        raise ValueError(f"class_counts on {counts.device}, {counts.layout}: must be a dense tensor with values")
    if counts.is_complex():
        raise ValueError(f"class_counts of {counts.dtype}: must be real numbers")
    if counts.dim() != 1 or counts.numel() == 0:
        raise ValueError(f"class_counts of shape {tuple(counts.shape)}: must be (K,), one number per class")
    return counts


def require_class_order(what: str, values: object) -> None:
    """Checks that a pandas Series of a number per class is in the order of the classes; anything else passes.

    Args:
        what: the argument's name, for errors.
        values: anything.

    Raises:
        ValueError: its index is not 0 … K − 1.
    """
    index = getattr(values, "index", None)  # a method of lists and tuples
    if index is not None and not callable(index) and list(index) != list(range(len(index))):
        raise ValueError(
            f"{what} has the index {list(index)}: must be in the order of the classes, 0 … K − 1; sort it, or give "
            "its values in that order"
        )


def _what(class_counts: object) -> str:
    """What was given as class counts, for an error: its type, or its first entry that is no number of a tensor."""
    if isinstance(class_counts, (list, tuple)):
        for k, count in enumerate(class_counts):
            if not isinstance(count, (int, float)):
                return f"class_counts[{k}] is a {type(count).__name__}"
            if isinstance(count, int) and abs(count) >= 2**63:
                return f"class_counts[{k}]={count}"
    return f"class_counts is a {type(class_counts).__name__}"


def require_no_proportions(counts: Tensor) -> None:
    """Checks that counts ``(K,)`` are not the classes' shares of the samples.

    Raises:
        ValueError: they sum to 1 or less, and none is negative.
    """
    if len(counts) > 1 and counts.sum() <= 1.0 + 1e-6 and counts.min() >= 0:
        raise ValueError(f"class_counts={counts.tolist()}: these look like proportions; give the samples per class")


def usable_counts(class_counts: Counts) -> tuple[Tensor, torch.dtype]:
    """Counts ``(K,)`` in float64 for the arithmetic, and the dtype of the result.

    Raises:
        ValueError: see :func:`as_counts`, or a class has no sample.
    """
    counts = as_counts(class_counts)
    dtype = counts.dtype if isinstance(class_counts, Tensor) and counts.is_floating_point() else None
    counts = counts.to(torch.float64)
    empty = [k for k, count in enumerate(counts.tolist()) if not 0 < count < float("inf")]
    if empty:
        names = ", ".join(map(str, empty))
        raise ValueError(
            f"class {names} has no source sample (class_counts={counts.long().tolist()}): every class needs one"
            if counts.isfinite().all()
            else f"class_counts={counts.tolist()}: class {names} must be a finite number above 0"
        )
    return counts, torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
