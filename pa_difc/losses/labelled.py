"""What all losses here share: one signature, and at least float32 whatever comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..functional import at_least_float32

T = TypeVar("T", bound=nn.Module)


class UnroundedBuffers(nn.Module):
    """A module whose buffers ``half()`` and ``to(dtype)`` move, and raise to float64 if told so, but never round.

    Rounded to bfloat16, margins would lose ε, and counts every sample beyond the 256th.
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
    """The mean loss of a batch of labelled samples; subclasses say in :meth:`value` what it is.

    Args:
        label_smoothing: α, see :func:`.make_loss`.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of these samples, whose logits have at least float32: a scalar."""
        raise NotImplementedError

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a labelled batch; changes no state.

        Args:
            logits: ``(N, K)``.
            labels: ``(N,)`` integers in [0, K).

        Returns:
            A scalar of at least float32.
        """
        return self.value(at_least_float32(logits), labels)
