"""The code of plugins that a model's predictions depend on, by which later edits are noticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backbones import BACKBONES
from ..methods import METHODS
from ..util.errors import UserError
from ..util.registry import Registry

#: By kind: the registry, and the place of the entry's name in a model's settings. A loss has no part in predictions.
_USED: dict[str, tuple[Registry[Any], str, str]] = {
    "method": (METHODS, "method", "name"),
    "backbone": (BACKBONES, "model", "backbone"),
}


def used_code(record: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the code of plugins that a run's model predicts with, by kind; {} if it needs no plugin.

    Args:
        record: of the run.
    """
    code = record.get("identity", {}).get("code", {})
    return {kind: code[kind] for kind in _USED if kind in code}


def edits(settings: Mapping[str, Any]) -> list[str]:
    """A sentence without a full stop on each method or backbone whose code has changed since a model was trained.

    Args:
        settings: as returned by :func:`.model_settings`; those that name no hash are not compared.
    """
    found = []
    for kind, digest in settings.get("code", {}).items():
        if kind not in _USED:
            continue
        registry, group, key = _USED[kind]
        name = settings["settings"][group][key]
        if _digest(registry, name) != digest:
            what = f"{registry.place(name)}, or a file that it imports, has changed since the model was trained"
            found.append(f"{kind} {name!r}: {what}, so predictions may differ: restore it, or train again")
    product = settings.get("product")
    return found + (edits(product["model"]) if product else [])


def _digest(registry: Registry[Any], name: str) -> str | None:
    try:
        return registry.digest(name)
    except UserError:  # it is in no file now
        return None
