"""Phases of losses that never began because training ended before: tables of such losses must say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: For each phase: an option that losses with it have, its name, and the key of its first epoch.
_PHASES = (("class_weights", "class weights", "reweight_epoch"), ("epsilon", "confusion", "confusion_epoch"))


def never_began(settings: Iterable[Mapping[str, Any]], longer: str = "more epochs") -> list[str]:
    """Lines on losses whose training ended before one of their phases began.

    Args:
        settings: of the runs, by group, resolved. Their epochs count from 0; the lines count from 1.
        longer: what would let them train for longer, in words.
    """
    late: dict[str, list[str]] = {}
    for one in settings:
        loss, epochs = one["loss"], one["run"]["epochs"]
        first = {what: loss.get(key) for option, what, key in _PHASES if option in loss.get("options", {})}
        never: dict[int, list[str]] = {}
        for what, n in first.items():
            if n is not None and n >= epochs:
                never.setdefault(n + 1, []).append(what)
        if never:
            begins = " and ".join(_begins(what, n) for n, what in never.items())
            there = f"there is only {epochs} epoch" if epochs == 1 else f"there are only {epochs} epochs"
            late.setdefault(f"{begins}, but {there}", []).append(loss["name"])
    return [f"{', '.join(dict.fromkeys(losses))}: {why}; give {longer}" for why, losses in late.items()]


def _begins(what: list[str], epoch: int) -> str:
    verb = "begins" if what == ["confusion"] else "begin"
    return f"{' and '.join(what)} {verb} in epoch {epoch}"
