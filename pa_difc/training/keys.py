"""Keys of settings: whole ("run.epochs") or short ("epochs"), and those of methods', losses' and backbones' options."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backbones import BACKBONES
from ..losses import LOSSES
from ..methods import METHODS
from ..util.errors import UserError
from ..util.names import unknown
from ..util.options import About, Options, describe, is_path
from ..util.registry import Registry
from .groups import GROUPS

if TYPE_CHECKING:
    from .settings import Settings

#: The keys that distinguish the cells of a grid, and their flags.
CELL_KEYS = {
    "method.name": "--methods (--method)",
    "loss.name": "--losses (--loss)",
    "run.seed": "--seeds (--seed)",
}

#: Short keys for the names of entries, and today's names of version 0.1's keys.
SHORT = {"method": "method.name", "loss": "loss.name", "optimiser": "optimiser.name"}
RENAMED = {
    "data_root": "data.root",
    "backbone_head": "model.feature_head",
    "local_head": "model.landmark_branch",
    "head": "model.classifier",
    "adjust": "run.prior_correction",
    "estimate": "loss.confusion_from",
}
#: Other programs' words for short keys, for errors.
SYNONYMS = {
    "learning_rate": "lr",
    "learningrate": "lr",
    "batch": "batch_size",
    "batchsize": "batch_size",
    "bs": "batch_size",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "max_epochs": "epochs",
    "epoch": "epochs",
    "wd": "weight_decay",
    "optimizer": "optimiser",
    "optim": "optimiser",
    "scheduler": "schedule",
    "lr_schedule": "schedule",
    "lr_scheduler": "schedule",
    "grad_clip": "clip_norm",
    "clip": "clip_norm",
    "arch": "backbone",
    "architecture": "backbone",
    "network": "backbone",
    "weights": "pretrained",
    "smoothing": "label_smoothing",
    "image_size": "crop_px",
    "img_size": "crop_px",
    "amp": "precision",
}

#: The entries whose options are keys, by group.
_REGISTRIES: dict[str, Registry[Any]] = {"method": METHODS, "loss": LOSSES, "model": BACKBONES}


def fixed_keys() -> dict[str, About]:
    """Every key that is not an option of an entry, such as "run.epochs", with its description."""
    return {f"{group}.{name}": about for group, kind in GROUPS.items() for name, about in describe(kind).items()}


@cache
def short_keys() -> dict[str, str]:
    """The unambiguous short keys, with the whole keys they stand for."""
    found: dict[str, list[str]] = {}
    for key in fixed_keys():
        found.setdefault(key.partition(".")[2], []).append(key)
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1} | SHORT


def find_key(key: str, named: Mapping[str, Collection[str]]) -> str:
    """Resolves a key that may be short to the whole key, "group.name".

    Args:
        key: "run.epochs", "epochs", "method.gamma" or "gamma".
        named: the entries whose options keys can refer to, by group: ``{"loss": ["ce", "difc"], "method": ["mdd"],
            …}``.

    Raises:
        UserError: the key is unknown, or ambiguous.
    """
    short = short_keys()
    if key in fixed_keys():
        return key
    options = _option_keys(named)
    if key in options:
        return key
    meant = [whole for whole in options if whole.partition(".")[2] == key]
    if key in short:
        meant = [short[key], *meant]
    if len(meant) > 1:
        raise UserError(f"key {key!r} is short for {' and '.join(meant)}: give the whole key")
    if meant:
        return meant[0]
    if key in RENAMED:
        raise UserError(f"key {key!r} is called {RENAMED[key]} since version 0.2")
    if elsewhere := owners(key):
        raise UserError(f"key {key!r} is an option of {' and '.join(elsewhere)}, and none of these is used here")
    valid = {*short, *fixed_keys(), *options, *(k.partition(".")[2] for k in options)} - SHORT.keys()
    raise unknown("key", key, valid, SYNONYMS.get(key.rpartition(".")[2].lower()))


def owners(key: str) -> list[str]:
    """The methods, losses and backbones that have an option of this name: ["losses di, difc"]; [] if none has."""
    group, dot, name = key.partition(".")
    found = []
    for kind, registry in _REGISTRIES.items():
        several = {"method": "methods", "loss": "losses", "model": "backbones"}[kind]
        entries: dict[str, Any] = registry.loaded() if not dot or group == kind else {}
        with_it = [e for e in entries if (name or group) in describe(entry_options(kind, e))]
        found += [f"{several} {', '.join(with_it)}"] if with_it else []
    return found


def entry_options(group: str, name: str) -> type[Options]:
    """The options class of a method, a loss or a backbone.

    Raises:
        UserError: the entry is unknown, or one of its options is invalid or has the name of a setting.
    """
    registry = _REGISTRIES[group]
    entry = registry.lookup(name)
    kind: type[Options] = entry.Options if group == "method" else entry.options
    _check_options(kind, f"{registry.kind} {name}", {f.name for f in fields(GROUPS[group])} | _ARGUMENTS[group])
    return kind


def plugin_options(settings: Settings) -> dict[str, About]:
    """The options of a run's method and loss by whole key, of those that are a plugin's."""
    named = {"method": settings.method.name, "loss": settings.loss.name}
    return {
        f"{group}.{key}": about
        for group, name in named.items()
        if not _REGISTRIES[group].is_built_in(name)
        for key, about in describe(entry_options(group, name)).items()
    }


def new_options(settings: Settings) -> set[str]:
    """The whole keys of a run's options that only plugins declare; one that a plugin's class inherits is ours."""
    named = {"method": settings.method.name, "loss": settings.loss.name, "model": settings.model.backbone}
    found = set()
    for group, name in named.items():
        kind = entry_options(group, name)
        ours = {key for base in kind.__mro__ if _is_ours(base) for key in inspect.get_annotations(base)}
        found |= {f"{group}.{key}" for key in describe(kind) if key not in ours}
    return found


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def other_models(settings: Settings) -> dict[str, Path]:
    """The folders of other models that options refer to, by whole key."""
    of_method = describe(entry_options("method", settings.method.name))
    folders = {f"method.{name}" for name, about in of_method.items() if about.folders}
    folders |= {f"eval.{name}" for name, about in describe(GROUPS["eval"]).items() if about.folders}
    return {key: Path(value) for key, value in settings.flat().items() if key in folders and is_path(value)}


#: Arguments of an entry besides its options; options can't have the same names.
_ARGUMENTS = {
    "method": {
        "models", "optimizers", "lr_schedulers", "misc", "loss", "class_counts", "schedule", "loss_options",
        "hook_kwargs",
    },
    "loss": set(),
    "model": {"feature_head", "landmark_branch"},
}  # fmt: skip


def _check_options(kind: type[Options], owner: str, taken: Collection[str]) -> None:
    """Refuses options whose names are taken, that weren't made with ``option``, or whose defaults are invalid."""
    if clash := sorted(set(describe(kind)) & set(taken)):
        raise UserError(f"{owner}: its option {clash[0]!r} has a name that is taken; rename it")
    if plain := [f.name for f in fields(kind) if f.name not in describe(kind)]:
        raise UserError(f"{owner}: its option {plain[0]!r} must be made with option(default, about)")
    try:
        kind()
    except UserError as error:
        raise UserError(f"{owner}: the default {error}") from None


def _option_keys(named: Mapping[str, Collection[str]]) -> dict[str, None]:
    keys = (
        f"{group}.{key}" for group, names in named.items() for n in names for key in describe(entry_options(group, n))
    )
    return dict.fromkeys(keys)
