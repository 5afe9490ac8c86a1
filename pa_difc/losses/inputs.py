"""Checks of a loss's inputs: each error says in one line what was given and what is expected."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ..counts import Counts, as_counts, require_no_proportions
from ..util.errors import DivergedError, ModelWarning, UserError


def checked_counts(class_counts: Counts) -> Tensor:
    """Converts class counts to a tensor ``(K,)``; the dtype is kept, and whole numbers may be floats.

    Raises:
        ValueError: they are not ``(K,)`` numbers, or one is a fraction, negative, not finite, or True or False.
    """
    counts = as_counts(class_counts)
    if counts.dtype == torch.bool:
        raise ValueError(f"class_counts={counts.tolist()}: must be whole numbers of samples, not True or False")
    for k, count in enumerate(counts.tolist()):
        if not (isfinite(count) and count >= 0 and float(count).is_integer()):
            if isfinite(count):
                require_no_proportions(counts)
            raise ValueError(f"class_counts[{k}]={count:.6g}: must be a whole number of samples, at least 0")
    return counts


def check_logits(what: str, logits: Any, num_classes: int | None = None) -> None:
    """Checks that logits are an ``(N, K)`` floating-point tensor.

    Args:
        what: the argument's name, for errors.
        logits: anything.
        num_classes: K, if known.

    Raises:
        TypeError: ``logits`` is not a tensor, or not a floating-point one.
        ValueError: its shape is wrong; a UserError if only K is, so that a step of pytorch-adapt fails in one line.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(f"{what}: got {_kind(logits)}, must be a tensor (N, K){_hint(logits)}")
    if not logits.is_floating_point():
        raise TypeError(f"{what} of {logits.dtype}: must be of a floating-point type")
    if logits.dim() != 2:
        raise ValueError(f"{what} of shape {tuple(logits.shape)}: must be (N, {num_classes or 'K'})")
    if num_classes not in (None, logits.shape[1]):
        raise UserError(
            f"{what} of shape {tuple(logits.shape)}: must be (N, {num_classes}): the loss was made for {num_classes} "
            "classes, by class_counts or num_classes"
        )


def check_labels(labels: Any, logits: Tensor) -> None:
    """Checks that labels are one whole number per sample.

    Raises:
        TypeError: ``labels`` is not a tensor of whole numbers.
        ValueError: its shape is wrong.
    """
    check_whole(labels)
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels of shape {tuple(labels.shape)}: must be ({len(logits)},), one for each row of logits")


def check_whole(labels: Any) -> None:
    """Checks that labels are whole numbers.

    Raises:
        TypeError: ``labels`` is not a tensor of whole numbers.
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels: got {_kind(labels)}, must be a tensor (N,) of whole numbers")
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"labels of {labels.dtype}: must be whole numbers, the classes' indices")


def require_classes(labels: Tensor, classes: int | None, ignore_index: int) -> None:
    """Checks that labels, of which the ignored ones have been dropped, are class indices.

    Args:
        labels: of int64.
        classes: K; None if unknown.
        ignore_index: for errors.

    Raises:
        ValueError: one is negative, or K or above.
    """
    wrong = labels[(labels < 0) | (labels >= (torch.inf if classes is None else classes))]
    if wrong.numel():
        of, last = ("", "…") if classes is None else (f" with {classes} classes", f"… {classes - 1}")
        raise ValueError(f"label {int(wrong[0])}{of}: must be in 0 {last}, or be ignore_index={ignore_index}")


def checked_target(logits: Any, num_classes: int) -> Tensor | list[Tensor]:
    """Checks target logits, of one classifier or a list or tuple of several, and casts them to float64.

    Raises:
        TypeError, ValueError: see :func:`check_logits`.
    """
    several = isinstance(logits, Sequence) and len(logits) > 0
    for z in logits if several else [logits]:
        check_logits("target_logits", z, num_classes)
    return [z.double() for z in logits] if several else logits.double()


def require_finite(what: str, probs: Tensor) -> None:
    """Checks the probabilities that logits give.

    Args:
        what: the argument that they come from, for errors.
        probs: ``(N, K)``.

    Raises:
        DivergedError: a sample's are not finite.
    """
    if not (known := probs.isfinite().all(dim=1)).all():
        raise DivergedError(f"{what} must be finite, not NaN or infinite in {int((~known).sum())} of {len(known)} rows")


def require_probabilities(what: str, probs: Tensor) -> None:
    """Checks that rows are probability distributions.

    Args:
        what: the argument's name, for errors.
        probs: ``(N, K)``, all finite.

    Raises:
        ValueError: a value is negative, or a row doesn't sum to 1.
    """
    if len(probs) and not _are_distributions(probs, 0.01):
        low, high = probs.min().item(), probs.max().item()
        raise ValueError(
            f"{what} from {low:.3g} to {high:.3g}: rows must be probabilities, which sum to 1, such as "
            "logits.softmax(1)"
        )


class FirstLooks:
    """Warns if the first logits of a kind are probabilities, by all appearances; later ones are not looked at."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    def at(self, what: str, logits: Tensor) -> None:
        """Looks at logits ``(N, K)``.

        Args:
            what: the kind: the argument's name.
            logits: only the first that are not empty count.
        """
        if torch.compiler.is_compiling() or what in self._done or not len(logits):
            return
        self._done.add(what)
        if _are_distributions(logits, max(1e-4, torch.finfo(logits.dtype).eps)):
            warnings.warn(
                f"{what} look like probabilities (each row is in 0 … 1 and sums to 1): pass logits, without a softmax",
                ModelWarning,
                stacklevel=4,
            )


def _are_distributions(rows: Tensor, tolerance: float) -> bool:
    rows = rows.detach().double()
    return bool(((rows.sum(dim=1) - 1).abs() <= tolerance).all() and (rows >= 0).all())


def without_ignored(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Drops the ignored samples; labels are returned as int64.

    Raises:
        ValueError: a label is neither a class index nor ``ignore_index``.
    """
    classes, labels = logits.shape[1], labels.long()
    if labels.numel() == 0:
        return logits, labels
    low, high = torch.stack(labels.aminmax()).tolist()  # one synchronisation with the device
    if not (low >= 0 and high < classes) or 0 <= ignore_index < classes:
        kept = labels != ignore_index
        logits, labels = logits[kept], labels[kept]
        require_classes(labels, classes, ignore_index)
    return logits, labels


def _kind(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__


def _hint(value: Any) -> str:
    if isinstance(getattr(value, "logits", None), Tensor):
        return ": its .logits"
    return ": one of these" if isinstance(value, list | tuple) else ""
