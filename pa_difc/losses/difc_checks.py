"""Checks of the DIFC loss's settings and of the states that it loads: errors are one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..counts import require_class_order
from ..functional import at_least_float32
from ..util.names import shown
from .labelled import IGNORE_INDEX
from .schedule import Schedule

MARGIN_UNITS = ("logit", "spread")
UNSEEN = ("most", "least", "last")
REFRESHES = ("epoch", "once", "step")
CONFUSION_SOURCES = ("training", "evaluation")


def check_choices(margin_unit: str, unseen: str, refresh: str, confusion_from: str) -> None:
    """Checks the settings that are one of several words; see :class:`.DIFCLoss`.

    Raises:
        ValueError: one is another word, or two contradict each other.
    """
    _check_choice("margin_unit", margin_unit, MARGIN_UNITS)
    _check_choice("unseen", unseen, UNSEEN)
    _check_choice("refresh", refresh, REFRESHES)
    _check_choice("confusion_from", confusion_from, CONFUSION_SOURCES)
    if confusion_from == "evaluation" and refresh == "step":
        raise ValueError("confusion_from='evaluation' comes once an epoch: refresh must be 'epoch' or 'once'")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={shown(str(value))}: must be one of {', '.join(choices)}")


def check_schedule(schedule: Schedule, refresh: str, confusion_from: str, *, raises: bool) -> None:
    """Checks that a schedule gives what the refresh needs.

    Args:
        raises: whether margins are raised at all: ε is above 0.

    Raises:
        ValueError: it is no schedule, or lacks what the refresh needs.
    """
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule={schedule!r}: must be a Schedule, such as Schedule(steps_per_epoch=100)")
    if refresh == "step" and schedule.steps_per_epoch is None:
        raise ValueError("refresh='step' decays its sums over an epoch: give the schedule steps_per_epoch")
    if raises and schedule.confusion_epoch == 0 and refresh == "once" and confusion_from == "training":
        raise ValueError(
            "refresh='once' with confusion_epoch=0: no epoch comes before the switch to estimate confusion from; "
            "confusion_epoch must be at least 1, or confusion_from 'evaluation'"
        )


def given_weights(class_weights: Sequence[float] | Tensor, num_classes: int) -> Tensor:
    """The user's class weights as ``(K,)``, of at least float32.

    Raises:
        ValueError: they are not K finite numbers above 0, or are a pandas Series in another order than the classes'.
    """
    require_class_order("class_weights", class_weights)
    try:
        weights = at_least_float32(torch.as_tensor(class_weights, dtype=torch.get_default_dtype()))
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"class_weights={class_weights!r}: must be {num_classes} numbers") from None
    if weights.shape != (num_classes,) or not (weights > 0).all() or not weights.isfinite().all():
        raise ValueError(f"class_weights={weights.tolist()}: must be {num_classes} finite numbers above 0")
    return weights


def check_state(state: Mapping[str, Any], prefix: str, buffers: Sequence[str], made_with: Mapping[str, Any]) -> None:
    """Checks that a state dict has all of a loss's state or none, made under the same settings.

    Args:
        state: of the loss, or of a module that contains it.
        prefix: of the loss's keys.
        buffers: names of the loss's buffers.
        made_with: the loss's settings.

    Raises:
        ValueError: a part is missing, or the settings differ.
    """
    parts = ("_extra_state", *buffers)
    lacking = [part for part in parts if f"{prefix}{part}" not in state]
    if 0 < len(lacking) < len(parts):
        raise ValueError(f"this DIFC state has no {', '.join(lacking)}: save and load the whole state_dict()")
    if (extra := state.get(f"{prefix}_extra_state")) is None:
        return
    then = {"ignore_index": IGNORE_INDEX, **extra["made_with"]}  # 0.1.0 had none
    if differing := [key for key in made_with if then.get(key) != made_with[key]]:
        what = "; ".join(f"{key} was {then.get(key)}, is {made_with[key]}" for key in differing)
        raise ValueError(f"this DIFC state was made under other settings: {what}")
