"""Keys of settings: whole ("run.epochs") or short ("epochs"), and those of methods', losses' and backbones' options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from ..backbones import BACKBONES
from ..losses import LOSSES
from ..methods import METHODS
from ..util.errors import UserError
from ..util.names import unknown
from ..util.options import About, Options, describe
from .groups import ENTRIES, GROUPS

#: Short keys for the names of entries, and what keys of version 0.1 are called now.
SHORT = {"method": "method.name", "loss": "loss.name", "optimiser": "optimiser.name"}
RENAMED = {
    "data_root": "data.root",
    "backbone_head": "model.feature_head",
    "local_head": "model.landmark_branch",
    "head": "model.classifier",
    "adjust": "run.prior_correction",
    "estimate": "loss.confusion_from",
}


def fixed_keys() -> dict[str, About]:
    """Every key that is no option of an entry: "run.epochs" and what is known of it."""
    return {f"{group}.{name}": about for group, kind in GROUPS.items() for name, about in describe(kind).items()}


@cache
def short_keys() -> dict[str, str]:
    """The short keys that are the only ones of their name, with the whole ones."""
    found: dict[str, list[str]] = {}
    for key in fixed_keys():
        found.setdefault(key.partition(".")[2], []).append(key)
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1} | SHORT


def find_key(key: str, named: Mapping[str, Collection[str]]) -> str:
    """The whole key, "group.name", of one that may be short.

    Args:
        key: "run.epochs", "epochs", "method.gamma" or "gamma".
        named: the entries whose options are meant, by group: ``{"loss": ["ce", "difc"], "method": ["mdd"], …}``.

    Raises:
        UserError: there is no such key, or it is short for several.
    """
    short = short_keys()
    if key in short:
        return short[key]
    if key in fixed_keys():
        return key
    options = _option_keys(named)
    if key in options:
        return key
    meant = [whole for whole in options if whole.partition(".")[2] == key]
    if len(meant) > 1:
        raise UserError(f"key {key!r} is short for {' and '.join(meant)}: say which")
    if meant:
        return meant[0]
    if key in RENAMED:
        raise UserError(f"key {key!r} is called {RENAMED[key]} since version 0.2")
    group, _, name = key.partition(".")
    if group in ENTRIES and name in {k.partition(".")[2] for k in options}:
        raise UserError(f"key {key!r}: {' and '.join(named[group])} has no such option")
    raise unknown("key", key, {*short, *fixed_keys(), *options, *(k.partition(".")[2] for k in options)})


def entry_options(group: str, name: str) -> type[Options]:
    """The options of a method, a loss or a backbone.

    Raises:
        UserError: there is no such entry, or an option of it has the name of a setting.
    """
    registry: Any = {"model": BACKBONES, "loss": LOSSES, "method": METHODS}[group]
    entry = registry.lookup(name)
    kind: type[Options] = entry.Options if group == "method" else entry.options
    if clash := sorted(set(describe(kind)) & {f.name for f in fields(GROUPS[group])}):
        raise UserError(f"{registry.kind} {name}: its option {clash[0]!r} has the name of a setting; rename it")
    return kind


def _option_keys(named: Mapping[str, Collection[str]]) -> dict[str, None]:
    keys = (
        f"{group}.{key}" for group, names in named.items() for n in names for key in describe(entry_options(group, n))
    )
    return dict.fromkeys(keys)
