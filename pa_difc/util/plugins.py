"""What other packages add to the registries, through entry points."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.metadata import entry_points
from typing import Any


@cache
def plugins(group: str) -> dict[str, Any]:
    """The objects that installed packages offer under an entry-point group, by name.

    One that can't be loaded is left out with a warning: somebody else's broken package should not stop a command.

    Args:
        group: such as "pa_difc.datasets".
    """
    found: dict[str, Any] = {}
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        try:
            found[entry.name] = entry.load()
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            warnings.warn(f"{group}: {entry.name} ({entry.value}) can't be loaded: {reason}", stacklevel=2)
    return found
