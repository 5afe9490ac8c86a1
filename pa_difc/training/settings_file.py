"""Settings files, written by a run or by a user instead of flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.names import unknown
from ..util.options import describe
from ..util.toml import read_toml
from .given import Cells, Given, first_value, value_of, whole_keys
from .groups import ENTRIES
from .keys import CELL_KEYS, RENAMED, entry_options, fixed_keys
from .resolve import own_values
from .settings import Settings

#: The key in a run's settings.toml that lists the values that followed from others.
FOLLOWS = "follows"


def read_settings(path: Path) -> dict[str, Given]:
    """Reads a TOML file with a table for each group, such as a run's settings.toml; short keys need no table.

    Raises:
        UserError: the file can't be read, or is not such a file.
    """
    return settings_of(read_toml(path), str(path))


def settings_of(table: Mapping[str, Any], where: str) -> dict[str, Given]:
    """Reads settings from a TOML table.

    Args:
        table: short keys, and a table for each group.
        where: where the table is, for errors.

    Raises:
        UserError: a value is a table, or a list of tables or lists.
    """
    found = {}
    for key, value in table.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for name, one in inner:
            whole = f"{key}.{name}" if name else key
            if isinstance(one, dict) or (isinstance(one, list) and any(isinstance(x, (dict, list)) for x in one)):
                raise UserError(f"{where}: {whole} must be a single value")
            found[whole] = Given(one, f"{where}: {whole}")
    return found


def for_cells(file: Mapping[str, Given], cells: Cells) -> dict[str, Given]:
    """The settings of a file by whole key, without those that distinguish cells.

    Options of a method, a loss or a backbone that the cells don't use are ignored. So are values that followed from
    others in the run that wrote the file: they are derived again. Key names of version 0.1 are accepted.

    Raises:
        UserError: a key is unknown, or a value is not valid.
    """
    pairs = {RENAMED.get(key, key): given for key, given in file.items()}
    for group, field in ENTRIES.items():
        owner = first_value(f"{group}.{field}", pairs.items())
        if owner is not None and owner not in cells.named[group]:
            foreign = describe(entry_options(group, owner))
            pairs = {key: given for key, given in pairs.items() if key not in {f"{group}.{name}" for name in foreign}}
    follows = _pop_follows(pairs)
    found = whole_keys(pairs.items(), cells)
    follows = follows & found.keys()
    if follows:
        fixed = fixed_keys()
        context = Settings.of(**{key: value_of(fixed[key], given) for key, given in found.items() if key in fixed})
        own = own_values(context)
        follows = {key for key in follows if key in own and value_of(fixed[key], found[key]) == own[key]}
    return {key: given for key, given in found.items() if key not in (*CELL_KEYS, *follows)}


def _pop_follows(pairs: dict[str, Given]) -> set[str]:
    """Removes and returns the keys that a run's settings.toml marks as following from others."""
    given = pairs.pop(FOLLOWS, None)
    if given is None:
        return set()
    if not isinstance(given.value, list) or not all(isinstance(key, str) for key in given.value):
        raise UserError(f"{given.where}: must be a list of keys")
    known = fixed_keys()
    for key in given.value:
        if key not in known:
            raise UserError(f"{given.where}: {unknown('setting', key, known)}")
    return set(given.value)
