"""Settings as a TOML file, whole, in the form that ``--config`` takes."""

from __future__ import annotations

from typing import Any

import tomli_w

from .settings import Settings


def to_toml(settings: Settings) -> str:
    """The text of a file; a value of None is left out, for it is what its key has where none is given."""
    return tables(settings.flat())


def tables(values: dict[str, Any]) -> str:
    """The text of a file of values by whole key, a table for each group."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        group, _, name = key.partition(".")
        if value is not None:
            groups.setdefault(group, {})[name] = list(value) if isinstance(value, tuple) else value
    return tomli_w.dumps(groups)
