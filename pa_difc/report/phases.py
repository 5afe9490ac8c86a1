"""Phases of losses that never began because training ended before: tables of such losses must say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: For each phase: an option that losses with it have, its name, and the key of its first epoch.
_PHASES = (("class_weights", "class weights", "reweight_epoch"), ("epsilon", "confusion", "confusion_epoch"))


def never_began(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines on losses whose training ended before one of their phases began.

    Args:
        settings: of the runs, by group, resolved. Their epochs count from 0; the lines count from 1.
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
