"""Phases of losses that never began, for training ended before: a table that shows a loss has to say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: An option that a loss has if it has the phase, what the phase is, and the key of its first epoch.
_PHASES = (("class_weights", "class weights", "reweight_epoch"), ("epsilon", "confusion", "confusion_epoch"))


def never_began(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which losses of runs are without a phase that they are named for, a line for each kind.

    Args:
        settings: of the runs, by group, resolved; epochs are counted from 0 there, and from 1 in the lines.
    """
    late: dict[str, list[str]] = {}
    for one in settings:
        loss, epochs = one["loss"], one["run"]["epochs"]
        begins = {what: loss.get(key) for option, what, key in _PHASES if option in loss.get("options", {})}
        never = [f"{what} in epoch {n + 1}" for what, n in begins.items() if n is not None and n >= epochs]
        if never:
            late.setdefault(f"{' and '.join(never)} of {epochs}", []).append(loss["name"])
    return [
        f"{', '.join(dict.fromkeys(losses))}: would begin {phases}, after the last; give more epochs"
        for phases, losses in late.items()
    ]
