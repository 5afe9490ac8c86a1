"""Checks what losses and penalties of others return: pytorch-adapt would average a vector, and train without a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pytorch_adapt.hooks import CLossHook, MeanReducer
from torch import Tensor

from ..util.errors import UserError
from ._host import BaseHook, BaseReducer
from .kept import Watched, calling
from .penalty import PenaltyHook
from .slot import LossSlot
from .tree import paths


@contextmanager
def checked(adapter: LossSlot) -> Iterator[None]:
    """Inside the block, a step raises a UserError if its classification loss or penalty is no scalar tensor.

    So does one without a gradient where what it gets has one, unless it is a penalty of 0. A loss for which the hooks
    have a reducer of samples' losses may be of any shape.
    """
    hooks = list({id(path[-1]): path[-1] for path in paths(adapter.hook)}.values())
    swapped: list[tuple[BaseHook, str, Any]] = []
    for hook in hooks:
        if isinstance(hook, CLossHook) and hook.loss_fn is adapter.loss:
            swapped.append((hook, "loss_fn", Watched(adapter.loss, partial(_loss, _is_reduced(hooks, hook)))))
        elif isinstance(hook, PenaltyHook):
            what = f"{type(adapter).__name__}.penalty()"
            swapped.append((hook, "penalty", partial(_penalty, hook.penalty, _is_reduced(hooks, hook), what)))
    before = [(hook, name, getattr(hook, name)) for hook, name, _ in swapped]
    for hook, name, value in swapped:
        setattr(hook, name, value)
    try:
        yield
    finally:
        for hook, name, value in before:
            setattr(hook, name, value)


@contextmanager
def first_call(adapter: LossSlot) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Inside the block, the list that it yields gets the logits and labels of the first call of the loss."""
    found: list[tuple[Tensor, Tensor]] = []

    def noted(loss: Callable[..., Any], logits: Tensor, labels: Tensor) -> Any:
        if not found:
            found.append((logits.detach().clone(), labels.clone()))
        return loss(logits, labels)

    hooks = calling(adapter.hook, adapter.loss)
    for hook in hooks:
        hook.loss_fn = Watched(adapter.loss, noted)
    try:
        yield found
    finally:
        for hook in hooks:
            hook.loss_fn = adapter.loss


def _is_reduced(hooks: list[BaseHook], loss: BaseHook) -> bool:
    reducers = [hook for hook in hooks if isinstance(hook, BaseReducer) and not isinstance(hook, MeanReducer)]
    return any(r.apply_to is None or set(r.apply_to) & set(loss.loss_keys) for r in reducers)


def _loss(reduced: bool, loss: Callable[..., Any], logits: Any, labels: Any) -> Any:
    value = loss(logits, labels)
    _require_scalar("the loss", value, reduced)
    _require_gradient("the loss", value, logits)
    return value


def _penalty(penalty: Callable[[Any], Any], reduced: bool, what: str, step: Any) -> Any:
    value = penalty(step)
    _require_scalar(what, value, reduced)
    if value.any():  # a penalty that begins later may be a constant 0 until then
        _require_gradient(what, value, *step)
    return value


def _require_gradient(what: str, value: Tensor, *given: Any) -> None:
    if not value.requires_grad and any(isinstance(one, Tensor) and one.requires_grad for one in given):
        raise UserError(f"{what} has no gradient, so nothing learns from it: compute it without detach() or no_grad()")


def _require_scalar(what: str, value: Any, reduced: bool) -> None:
    if not isinstance(value, Tensor):
        raise UserError(f"{what} returns a {type(value).__name__}: must return a tensor, a scalar")
    if value.numel() != 1 and not reduced:
        raise UserError(f"{what} returns a tensor of shape {tuple(value.shape)}: must return a scalar, as its mean")
