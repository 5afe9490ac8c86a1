"""Keeps an adapter to the loss that was put into it: what would train without it is refused, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..util.errors import UserError
from ._host import BaseHook
from .epochs import EpochHook
from .hooks import ConfusionHook, EndOfStepHook
from .tree import paths, wrong_weights


def require_kept(adapter: Any, name: str, value: Any) -> None:
    """Refuses a new "loss" or "hook" of an adapter that would end the use of its loss.

    Raises:
        UserError: ``value`` is another loss, or a hook that doesn't call the loss or would not count its steps.
    """
    if not vars(adapter).get("has_loss"):
        return
    new, loss = f"make a new {type(adapter).__name__}", adapter.loss
    if name == "loss" and value is not loss:
        raise UserError(f"the loss of an adapter is fixed: {new} with loss=")
    if name == "hook" and (lacks := _lacks(value, adapter.hook, loss)):
        raise UserError(f"the new hook doesn't {lacks} the adapter's loss: {new} with hook_kwargs=")


def keep(adapter: Any) -> None:
    """Lets each training step of an adapter of pytorch-adapt refuse another loss, or a hook without its loss.

    Its class stays, and it can be pickled and copied deeply. A shallow copy would train the original.
    """
    own = vars(adapter).get("training_step")
    adapter.training_step = partial(_kept_step, adapter, adapter.loss, adapter.hook, own)


def _kept_step(
    adapter: Any,
    loss: Any,
    hook: BaseHook,
    own: Callable[..., Any] | None,
    batch: Mapping[str, Any],
    **kwargs: Any,
) -> dict[str, dict[str, float]]:
    """One step; ``own`` is the function that the user had set in place of the class's ``training_step``.

    Raises:
        UserError: the adapter has another loss, or a hook that doesn't call its loss or would not count its steps.
    """
    new = f"make a new {type(adapter).__name__}"
    if vars(adapter).get("loss") is not loss:
        raise UserError(f"the loss that was attached is fixed, and adapter.loss is another: {new}, and attach that")
    if lacks := _lacks(adapter.hook, hook, loss):
        raise UserError(f"the adapter's new hook doesn't {lacks} the loss that was attached: {new} with hook_kwargs=")
    step = own or partial(type(adapter).training_step, adapter)
    try:
        losses: dict[str, dict[str, float]] = step(batch, **kwargs)
    except Exception as error:
        if (told := in_one_line(error, adapter.hook)) is not None:
            raise told from error
        raise
    return losses


def in_one_line(error: Exception, hook: BaseHook) -> UserError | None:
    """The error of a step without the names of hooks that pytorch-adapt puts above it; None if it is no user's error.

    pytorch-adapt answers a weighter's unknown key with all losses as tensors; here it is named.
    """
    if isinstance(error, KeyError) and (why := wrong_weights(hook)):
        return UserError(why)
    return type(error)(str(error).splitlines()[-1].strip()) if isinstance(error, UserError) else None


def _lacks(new: BaseHook, old: BaseHook, loss: Any) -> str:
    """What a new hook would not do for the loss that the old one does, as a verb; empty if it does all."""
    if new is old:
        return ""
    there = [path[-1] for path in paths(new)]
    if not any(getattr(hook, "loss_fn", None) is loss for hook in there):
        return "call"
    counting = (path[-1] for path in paths(old) if isinstance(path[-1], (ConfusionHook, EndOfStepHook, EpochHook)))
    return "" if all(any(hook is one for hook in there) for one in counting) else "count the steps of"
