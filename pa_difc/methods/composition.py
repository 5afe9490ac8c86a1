"""Combines a user's ``hook_kwargs`` with a method's own arguments; refuses what the method itself needs."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any

from pytorch_adapt.weighters import BaseWeighter
from torch import Tensor

from ..util.errors import UserError
from ._host import BaseHook, BaseLossHook

#: Arguments that hold hooks: of the only step ("post"), or of one of several ("post_g").
_SLOT = re.compile(r"(pre|post)(_[a-z])?")

#: Arguments that users can't give, and what decides or replaces them.
_INSTEAD = {
    "opts": "the optimizers container decides",
    "g_opts": "the optimizers container decides",
    "c_opts": "the optimizers container decides",
    "loss_fn": "give the loss as loss=",
    "c_hook": "give the loss as loss=",
}


def joined(
    hook_class: type[BaseHook],
    own: Mapping[str, Any],
    given: Mapping[str, Any],
    instead: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The arguments for a method's hook: user hooks follow the method's own; other arguments are the user's.

    Args:
        hook_class: the hook that takes the arguments.
        own: the method's arguments.
        given: the user's ``hook_kwargs``; None stands for the method's or pytorch-adapt's default.
        instead: further arguments that the method sets itself, and what a user can give in their place.

    Raises:
        UserError: ``hook_class`` has no such argument, the method sets it itself, or its value is of the wrong type.
    """
    name = hook_class.__name__
    instead = {**_INSTEAD, **(instead or {})}
    takes = _arguments(hook_class) - instead.keys()
    given = {key: value for key, value in given.items() if value is not None or key not in takes}
    for key, value in given.items():
        if key in instead:
            raise UserError(f"hook_kwargs[{key!r}] is {name}'s own: {instead[key]}")
        if key not in takes:
            raise UserError(f"hook_kwargs[{key!r}]: {name} takes {', '.join(sorted(takes))}")
        if _SLOT.fullmatch(key):
            _check_hooks(key, value)
        if key.endswith("weighter"):
            _check_weighter(key, value)
    slots = {key: [*own.get(key, []), *value] for key, value in given.items() if _SLOT.fullmatch(key)}
    return {**own, **given, **slots}


def added(hook: BaseHook, slot: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Puts a hook before the user's own in a slot of ``hook_kwargs``.

    Raises:
        UserError: the user's value there is not a list of hooks.
    """
    if given.get(slot) is not None:
        _check_hooks(slot, given[slot])
    return {**given, slot: [hook, *(given.get(slot) or [])]}


def for_each_classifier(given: Mapping[str, Any], classifiers: int) -> dict[str, Any]:
    """Lets pytorch-adapt's losses on logits (MCC, BNM, entropy, diversity) average over several classifiers.

    Args:
        given: the user's ``hook_kwargs``; hooks in it are copied, not changed.
        classifiers: how many logits "C" gives, in a list if several.
    """
    found = dict(given)
    for key, hooks in given.items() if classifiers > 1 else ():
        if _SLOT.fullmatch(key) and isinstance(hooks, (list, tuple)):
            found[key] = [_averaged(hook) if _is_of_logits(hook) else hook for hook in hooks]
    return found


def _is_of_logits(hook: Any) -> bool:
    return isinstance(hook, BaseLossHook) and hook.layer == "logits"


def _averaged(hook: BaseHook) -> BaseHook:
    loss, hook = hook.loss_fn, copy.copy(hook)
    hook.loss_fn = lambda logits: sum(map(loss, logits)) / len(logits)
    return hook


class WeighterOfStep:
    """Applies one weighter to several steps; pytorch-adapt's weighters refuse weights for losses that a step lacks.

    Args:
        weighter: of all steps; later changes to it take effect.
        known: the losses of all steps.

    Raises:
        UserError: (when called) the weighter has a weight for a loss that no step has.
    """

    def __init__(self, weighter: BaseWeighter, known: frozenset[str]) -> None:
        self.weighter, self.known = weighter, known

    def __call__(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        weighed: tuple[Tensor, dict[str, float]]
        if not isinstance(self.weighter, BaseWeighter):  # pytorch-adapt accepts any function
            weighed = self.weighter(losses)
            return weighed
        if why := unknown_weights(self.weighter, self.known):
            raise UserError(why)
        weights = self.weighter.weights
        self.weighter.weights = {loss: weight for loss, weight in weights.items() if loss in losses}
        try:
            weighed = self.weighter(losses)
        finally:
            self.weighter.weights = weights
        return weighed

    def __repr__(self) -> str:
        return repr(self.weighter)


def unknown_weights(weighter: Any, known: Collection[str]) -> str:
    """Which of a weighter's keys are no losses, and what the losses are; empty if all are, and for a mere function."""
    if not isinstance(weighter, BaseWeighter) or not (unknown := {*weighter.weights} - {*known}):
        return ""
    lacking = ", ".join(sorted(map(str, unknown)))
    return f"weighter has a weight for {lacking}: the losses are {', '.join(sorted(known))}"


def _arguments(hook_class: type[BaseHook]) -> set[str]:
    """Names of the arguments of a hook and, if it passes on ``**kwargs``, of its base classes."""
    names: set[str] = set()
    for cls in hook_class.__mro__:
        if (init := vars(cls).get("__init__")) is None:
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def _check_hooks(key: str, value: Any) -> None:
    if not isinstance(value, (list, tuple)) or not all(isinstance(hook, BaseHook) for hook in value):
        raise UserError(f"hook_kwargs[{key!r}] must be a list of hooks, such as [MCCHook()]")


def _check_weighter(key: str, value: Any) -> None:
    if isinstance(value, type):
        raise UserError(f"hook_kwargs[{key!r}]={value.__name__}: must be an instance, such as {value.__name__}()")
