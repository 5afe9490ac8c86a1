"""Combined methods: ``mcd+mean_teacher``, ``dann+mcc+adamatch``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..util.errors import UserError
from ..util.names import unknown
from ..util.options import Options
from .balanced import ABCOptions, Balanced
from .mcc import LessConfused, MCCOptions
from .self_training import SelfTrained
from .sentry import SentryOptions, Voted
from .slot import LossSlot
from .teaching_options import AdaMatchOptions, SelfTrainingOptions

#: The additions by name: a mixin, and its options.
ADDITIONS: dict[str, tuple[type[LossSlot], type[Options]]] = {
    "adamatch": (SelfTrained, AdaMatchOptions),
    "mean_teacher": (SelfTrained, SelfTrainingOptions),
    "sentry": (Voted, SentryOptions),
    "mcc": (LessConfused, MCCOptions),
    "abc": (Balanced, ABCOptions),
}


#: Cache, so that a combined method is always the same class.
_JOINED: dict[tuple[str, type[LossSlot]], type[LossSlot]] = {}


def join(name: str, base: type[LossSlot]) -> type[LossSlot]:
    """Combines a method with additions; returns the same class each time.

    Args:
        name: "base+addition", or with several additions.
        base: the method named by the first part.

    Raises:
        UserError: an addition is unknown, given twice, or can't be combined with this method.
    """
    if (name, base) not in _JOINED:
        _JOINED[name, base] = _join(name, base)
    return _JOINED[name, base]


def _join(name: str, base: type[LossSlot]) -> type[LossSlot]:
    first, *additions = name.split("+")
    if not base.trains:
        raise UserError(f"method {name!r}: {first} does no training, so nothing can be added to it")
    mixins: list[type[LossSlot]] = []
    options: list[type[Options]] = []
    for addition in additions:
        if addition not in ADDITIONS:
            raise unknown("addition to a method", addition, ADDITIONS)
        mixin, own = ADDITIONS[addition]
        if mixin in mixins or issubclass(base, mixin):
            raise UserError(
                f"method {name!r}: {addition} would be a second self-training or confusion loss; only one is possible"
            )
        if why := mixin.unfit(base):
            raise UserError(f"method {name!r}: {addition} does not fit, {first} {why}")
        taken = {f.name for kind in (*options, base.Options) for f in fields(kind)}
        if clash := taken & {f.name for f in fields(own)}:
            raise UserError(f"method {name!r}: {first} and {addition} both have an option {min(clash)!r}")
        mixins.append(mixin)
        options.append(own)
    merged: Any = dataclass(frozen=True)(type("Options", (*options, base.Options), {"__doc__": f"Options of {name}."}))
    about = f"{base.about}; with {' and '.join(additions)}"
    attributes: dict[str, Any] = {"Options": merged, "about": about, "code": getattr(base, "code", base)}
    attributes |= {"__module__": base.__module__, "__doc__": f"{base.__name__} with {' and '.join(additions)}."}
    return type(name, (*mixins, base), attributes)
