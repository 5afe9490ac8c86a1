"""Base class of the losses: signature, input checks, ignored labels, and arithmetic in at least float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from ..functional import at_least_float32, require_number
from ..util.distributed import part_of_weighted, processes
from .inputs import FirstLooks, check_labels, check_logits, check_whole, require_classes, without_ignored

T = TypeVar("T", bound=nn.Module)

#: PyTorch's default label for ignored samples.
IGNORE_INDEX = -100


class UnroundedBuffers(nn.Module):
    """A module whose buffers never lose precision: ``half()`` and ``to(dtype)`` only move and widen them.

    In bfloat16, margins would lose ε, and counts would stop at 256.
    """

    def _apply(self: T, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> T:
        before = dict(self._buffers)
        super()._apply(fn, *args, **kwargs)  # type: ignore[misc, no-untyped-call]  # of a module, which T is bound to
        for name, moved in self._buffers.items():
            own = before[name]
            if moved is not None and own is not None and torch.promote_types(moved.dtype, own.dtype) != moved.dtype:
                self._buffers[name] = own.to(moved.device)
        return self


class LabelledLoss(UnroundedBuffers):
    """The mean loss of a batch of labelled samples; subclasses implement :meth:`value`.

    In a torch.distributed group each process passes its part of the batch, and the (weighted) mean is taken over the
    whole batch, so every process must make the same calls.

    Args:
        num_classes: K, if the loss knows it.
        label_smoothing: α in [0, 1], see :func:`.make_loss`.
        ignore_index: the label of samples that are ignored, see :func:`.make_loss`.

    Raises:
        ValueError: α is out of range.
    """

    fixed: ClassVar[frozenset[str]] = frozenset()  #: arguments of the constructor that have no effect later
    _made = False

    def __setattr__(self, name: str, value: Any) -> None:
        if self._made and name in self.fixed:
            raise AttributeError(f"{name} of a {type(self).__name__} is fixed: make a new loss with {name}={value!r}")
        super().__setattr__(name, value)

    def __init__(
        self, num_classes: int | None = None, label_smoothing: float = 0.0, ignore_index: int = IGNORE_INDEX
    ) -> None:
        super().__init__()
        require_number("label_smoothing", label_smoothing)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"{label_smoothing=}: must be in [0, 1]")
        self.num_classes, self.label_smoothing, self.ignore_index = num_classes, label_smoothing, ignore_index
        self.first_looks = FirstLooks()

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss, a scalar; ignored samples have been dropped already.

        Args:
            logits: ``(N, K)``, of at least float32. The result is not used if N is 0.
            labels: ``(N,)`` of int64, in [0, K).
        """
        raise NotImplementedError

    def class_factors(self) -> Tensor | None:
        """``(K,)`` the classes' weights in :meth:`value`'s mean; None if all samples weigh 1."""
        return None

    def sample_weights(self, labels: Tensor) -> Tensor:
        """``(N,)`` weights of the samples in the mean: that of a sample's class, 0 for ``ignore_index``.

        Raises:
            TypeError: ``labels`` is not a tensor of whole numbers.
            ValueError: a label is neither a class index nor ``ignore_index``.
        """
        check_whole(labels)
        factors, kept = self.class_factors(), labels != self.ignore_index
        require_classes(labels[kept].long(), self.num_classes, self.ignore_index)
        if factors is None:
            return kept.double()
        return factors[labels.long().where(kept, 0)] * kept

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a labelled batch; changes no state.

        Args:
            logits: ``(N, K)``.
            labels: ``(N,)`` whole numbers in [0, K), or ``ignore_index``.

        Returns:
            A scalar of at least float32. If all samples are ignored, it is 0 with a gradient of zeros. As in PyTorch,
            it is NaN if a logit is.

        Raises:
            TypeError: logits or labels are not tensors, or have the wrong dtype.
            ValueError: the shapes don't match, or a label is neither a class index nor ``ignore_index``.
        """
        check_logits("logits", logits, self.num_classes)
        check_labels(labels, logits)
        self.first_looks.at("logits", logits)
        size = len(labels)
        logits, labels = without_ignored(at_least_float32(logits), labels, self.ignore_index)
        value = self.value(logits, labels)
        if len(labels) == 0:
            value = logits.sum()  # an empty sum: 0, still attached to the graph
        return value if processes() == 1 else part_of_weighted(value, self.sample_weights(labels), size)
