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


class Watched:
    """A loss in a hook whose calls are watched for a step.

    Args:
        loss: the loss.
        watch: called in its place, with the loss, logits and labels.
    """

    def __init__(self, loss: Any, watch: Callable[[Any, Any, Any], Any]) -> None:
        self.loss, self._watch = loss, watch

    def __call__(self, logits: Any, labels: Any) -> Any:
        return self._watch(self.loss, logits, labels)


class Kept:
    """What an adapter had when its loss was installed: the hooks that call it, and its state in ``misc``.

    Args:
        hook: the adapter's hook, with the loss in it.
        loss: the loss.
        state: the loss's entries in ``misc``.
    """

    def __init__(self, hook: BaseHook, loss: Any, state: Mapping[str, Any]) -> None:
        self.loss, self.state = loss, dict(state)
        self.callers: list[Any] = calling(hook, loss)

    def require(self, adapter: Any) -> None:
        """Refuses a step that would train without the loss, or write checkpoints without its state.

        Raises:
            UserError: a hook has another loss, or ``misc`` lacks a part of the loss's state, or has another.
        """
        for name in {"difc": None, **self.state}:
            if adapter.misc.get(name) is not self.state.get(name):
                what = "is not the loss's own" if name in adapter.misc else "of the loss is missing"
                raise UserError(f'misc["{name}"] {what}, so checkpoints would lack it: make a new {_name(adapter)}')
        for hook in self.callers:
            if not _calls(hook, self.loss):
                raise UserError(
                    f"{type(hook).__name__}.loss_fn is not the loss of this {_name(adapter)}, which is fixed: make a "
                    f"new {_name(adapter)} with another"
                )


def calling(root: BaseHook, loss: Any) -> list[Any]:
    """The hooks nested in a hook that call a loss."""
    return [hook for hook in {id(path[-1]): path[-1] for path in paths(root)}.values() if _calls(hook, loss)]


def _calls(hook: Any, loss: Any) -> bool:
    called = getattr(hook, "loss_fn", None)
    return called is loss or (isinstance(called, Watched) and called.loss is loss)


def _name(adapter: Any) -> str:
    return type(adapter).__name__


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
    adapter.training_step = partial(_kept_step, adapter, adapter.kept_loss, adapter.hook, own)


def _kept_step(
    adapter: Any,
    kept: Kept,
    hook: BaseHook,
    own: Callable[..., Any] | None,
    batch: Mapping[str, Any],
    **kwargs: Any,
) -> dict[str, dict[str, float]]:
    """One step; ``own`` is the function that the user had set in place of the class's ``training_step``.

    Raises:
        UserError: the adapter has another loss, or a hook that doesn't call its loss or would not count its steps; or
            see :meth:`Kept.require`.
    """
    new, loss = f"make a new {_name(adapter)}", kept.loss
    if vars(adapter).get("loss") is not loss:
        raise UserError(f"the loss that was attached is fixed, and adapter.loss is another: {new}, and attach that")
    if lacks := _lacks(adapter.hook, hook, loss):
        raise UserError(f"the adapter's new hook doesn't {lacks} the loss that was attached: {new} with hook_kwargs=")
    kept.require(adapter)
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
    if not any(_calls(hook, loss) for hook in there):
        return "call"
    counting = (path[-1] for path in paths(old) if isinstance(path[-1], (ConfusionHook, EndOfStepHook, EpochHook)))
    return "" if all(any(hook is one for hook in there) for one in counting) else "count the steps of"
