"""Digests of the settings that a model's predictions depend on, by which changes to an exported folder are noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

#: The key under which a folder's settings keep their digests.
SEALS = "digests"

_NETWORK = (
    *("backbone", "options", "feature_head", "landmark_branch", "pool", "maps", "classifier", "scale"),
    "input_scale",
)
#: What a missing setting means.
_DEFAULTS: dict[str, Any] = {"options": {}, "pool": "average", "maps": "late", "input_scale": 1.0, "views": "none"}


def digests(settings: Mapping[str, Any]) -> dict[str, str]:
    """A digest for each part of a model's settings that changes predictions, by the part's name.

    Keys that others add to a part don't change its digest, nor does writing 1.0 as 1.

    Args:
        settings: as returned by :func:`.model_settings`.
    """
    return {name: _digest(value) for name, value in _parts(settings).items()}


def changed(settings: Mapping[str, Any], sealed: Mapping[str, Any]) -> list[str]:
    """The names of the parts whose digests differ from the kept ones; a part without a kept one is not compared."""
    return [name for name, digest in digests(settings).items() if sealed.get(name, digest) != digest]


def _parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen, adjustment, product = settings["settings"], settings.get("adjustment"), settings.get("product")
    return {
        "labels.names": settings["labels"]["names"],
        "input": _of(settings["input"], ("size_px", "crop", "prepared", "landmarks")) | _stored_px(settings["input"]),
        "settings.model": _of(chosen["model"], _NETWORK),
        "settings.method": _of(chosen["method"], ("name", "options")),
        "settings.eval": _of(chosen.get("eval", {}), ("views",)),
        "adjustment": adjustment and _of(adjustment, ("scale", "bias", "ratio")),
        "product": product and [product["power"], _parts(product["model"])],
    }


def _stored_px(given: Mapping[str, Any]) -> dict[str, Any]:
    """The size of the stored faces, if the folder names one: digests of older folders have no place for it."""
    return {"stored_px": given["stored_px"]} if "stored_px" in given else {}


def _of(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values.get(key, _DEFAULTS.get(key)) for key in keys}


def _digest(value: Any) -> str:
    text = json.dumps(_plain(json.loads(json.dumps(value))), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """Values as from JSON, with whole numbers written in one way."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
