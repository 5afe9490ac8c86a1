"""Dimensions of plugins' options, and this package's beside options of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..training.keys import new_options, plugin_options
from .space import REWEIGHT, Dimension, Space

if TYPE_CHECKING:
    from ..training.settings import Settings


def without_clashes(space: Space, settings: Settings) -> dict[str, Dimension]:
    """This package's space where a plugin has an option of the same name: ours has its whole key, and theirs is left.

    Args:
        space: of this package, with short keys.
        settings: of the run, resolved.
    """
    theirs, found = new_options(settings), dict[str, Dimension]()
    clashing = {key.partition(".")[2] for key in theirs} - {REWEIGHT}
    for key, dimension in space.items():
        ours = [whole for whole in settings.flat() if whole.partition(".")[2] == key and whole not in theirs]
        found |= dict.fromkeys(ours, dimension) if key in clashing else {key: dimension}
    return found


def own_dimensions(settings: Settings) -> dict[str, Dimension]:
    """Dimensions of the options that a plugin's method and loss declare with a range; none of built-in ones.

    Between two bounds the whole range is searched. Above one bound it is a tenth to ten times the run's own value.

    Args:
        settings: of the run, resolved.
    """
    found, values, options = {}, settings.flat(), plugin_options(settings)
    for key, about in options.items():
        if about.hint is float and (span := _span(about.bounds, values[key])):
            short = key.partition(".")[2]
            several = short == REWEIGHT or sum(other.endswith(f".{short}") for other in values) > 1
            found[key if several else short] = Dimension(about.about, about.unit or "none", **span)
    return found


def _span(bounds: Mapping[str, float], own: float) -> dict[str, Any] | None:
    """The arguments of a dimension within an option's bounds; None if they give no range."""
    low, high = (
        bounds.get(closed, bounds.get(open_)) for closed, open_ in (("at least", "above"), ("at most", "below"))
    )
    if low is None or (high is None and own <= low):
        return None
    if high is None:
        inside = low + (own - low) / 10
        return {"low": inside, "high": low + (own - low) * 10, "log": inside > 0}
    margin = (high - low) / 100  # open ends are left out
    return {"low": low + margin * ("above" in bounds), "high": high - margin * ("below" in bounds)}
