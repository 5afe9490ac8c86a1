"""Nested hooks: finds them, replaces one, and checks them together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pytorch_adapt.hooks import ChainHook, MeanReducer

from ..losses.labelled import LabelledLoss
from ..util.errors import UserError
from ._host import BaseHook, BaseReducer, OptimizerHook
from .composition import WeighterOfStep, unknown_weights

_CLASSIFICATION = re.compile(r"(.*_)?c_loss\d*")


def paths(hook: BaseHook, above: tuple[BaseHook, ...] = ()) -> Iterator[list[BaseHook]]:
    """All hooks nested in a hook, in order, each as its path from the root."""
    here = (*above, hook)
    yield list(here)
    for value in list(vars(hook).values()):
        for inner in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(inner, BaseHook) and inner not in above:
                yield from paths(inner, here)


def exchange(parent: BaseHook, old: BaseHook, new: BaseHook) -> None:
    """Replaces a hook by another, wherever it occurs in its parent."""
    for name, value in list(vars(parent).items()):
        if value is old:
            setattr(parent, name, new)
        elif isinstance(value, (list, tuple)) and any(hook is old for hook in value):
            setattr(parent, name, type(value)(new if hook is old else hook for hook in value))


def require_distinct_losses(root: BaseHook) -> None:
    """Refuses two losses of the same name in a chain: pytorch-adapt would silently keep only the last one.

    Raises:
        UserError: a name occurs twice.
    """
    for path in paths(root):
        chain: Any = path[-1]
        if isinstance(chain, ChainHook):
            names = Counter(name for hook in chain.hooks for name in hook.loss_keys)
            if twice := sorted(name for name, count in names.items() if count > 1):
                raise UserError(f"two hooks give a loss {twice[0]!r}: rename one of them, as with loss_prefix='my_'")


def require_means(root: BaseHook, loss: Any) -> None:
    """Refuses a reducer that expects unreduced losses, as every loss of this package is a mean already.

    Raises:
        UserError: there is such a reducer.
    """
    reducers = [path[-1] for path in paths(root) if isinstance(path[-1], BaseReducer)]
    for reducer in reducers if isinstance(loss, LabelledLoss) else []:
        names = [n for n in reducer.apply_to or ["c_loss"] if _CLASSIFICATION.fullmatch(n)]
        if names and not isinstance(reducer, MeanReducer):
            raise UserError(
                f"{type(reducer).__name__} would get the classification loss's mean, not samples' losses: name other "
                "losses with apply_to=, or give loss=torch.nn.CrossEntropyLoss(reduction='none')"
            )


def require_known_weights(root: BaseHook) -> None:
    """Refuses weights for losses that no step computes.

    Raises:
        UserError: there are any.
    """
    if why := wrong_weights(root):
        raise UserError(why)


def wrong_weights(root: BaseHook) -> str:
    """What is wrong with the keys of a hook's weighters; empty if each is a loss of its step."""
    for path in paths(root):
        step = path[-1]
        if isinstance(step, OptimizerHook):
            weighter, known = step.weighter, step.hook.loss_keys
            if isinstance(weighter, WeighterOfStep):
                weighter, known = weighter.weighter, weighter.known
            if why := unknown_weights(weighter, known):
                return why
    return ""
