"""A file of grids: whole experiments of several pairs, methods, losses and seeds, for ``compare --grid``.

[[grid]]
title = "Table 1"
sources = ["raf_db"]
targets = ["jaffe", "sfew"]
methods = ["mcd"]
losses = ["ce", "difc"]
seeds = [0, 1, 2]
features = "full"
settings = {backbone = "ir50", epochs = 40}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..losses import LOSSES
from ..methods import METHODS
from ..util.errors import UserError
from ..util.names import unknown
from ..util.registry import Registry
from ..util.toml import read_toml
from .given import Given
from .settings_file import settings_of

#: The ways to train a grid.
FEATURES = ("full", "frozen")


@dataclass(frozen=True)
class Block:
    """One grid of a file; None where flags or defaults apply."""

    where: str = ""  #: the file and the grid's number, for errors
    title: str = ""
    sources: list[str] | None = None
    targets: list[str] | None = None
    methods: list[str] | None = None
    losses: list[str] | None = None
    seeds: list[int] | None = None
    features: str | None = None
    settings: Mapping[str, Given] = field(default_factory=dict)  #: see :func:`.settings_file.read_settings`


def read_grid_file(path: Path) -> list[Block]:
    """Reads the grids of a file, in order.

    Raises:
        UserError: the file can't be read, has no grid, or one of its keys or values is not valid.
    """
    table = read_toml(path)
    blocks = table.pop("grid", None)
    if table:
        raise UserError(
            f"{path}: {next(iter(table))} is outside of a grid; a file of grids must have only [[grid]] tables"
        )
    if not isinstance(blocks, list) or not blocks or not all(isinstance(block, dict) for block in blocks):
        raise UserError(f"{path}: has no grid; begin each with [[grid]]")
    return [_block(block, f"{path}: grid {number}") for number, block in enumerate(blocks, 1)]


def _block(values: dict[str, Any], where: str) -> Block:
    known = [one.name for one in fields(Block) if one.name != "where"]
    for key, value in values.items():
        if key not in known:
            raise UserError(f"{where}: {unknown('key', key, known)}")
        kind = {"title": str, "features": str, "settings": dict}.get(key, list)
        if not isinstance(value, kind):
            raise UserError(f"{where}: {key}={value!r}: must be {_WORDS[kind]}")
        if kind is list:
            _check_items(value, int if key == "seeds" else str, f"{where}: {key}")
        if key in _REGISTRIES:
            _check_names(value, _REGISTRIES[key], f"{where}: {key}")
    if values.get("features", "full") not in FEATURES:
        raise UserError(f"{where}: features={values['features']!r}: must be {' or '.join(FEATURES)}")
    return Block(where, **values | {"settings": settings_of(values.get("settings", {}), f"{where}: settings")})


_WORDS = {str: "a text", dict: "a table", list: "a list"}


#: The registries of named entries; "all" names every one.
_REGISTRIES: dict[str, Registry[Any]] = {"methods": METHODS, "losses": LOSSES}


def _check_names(names: list[str], registry: Registry[Any], where: str) -> None:
    for name in names:
        if name != "all" and name not in registry:
            raise UserError(f"{where}: {unknown(registry.kind, name, registry)}")


def _check_items(values: list[Any], kind: type, where: str) -> None:
    if not values or any(type(value) is not kind for value in values):
        raise UserError(f"{where}={values!r}: must be a list of {'whole numbers' if kind is int else 'names'}")
