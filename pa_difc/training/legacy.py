"""Converts records of version 0.1, whose settings were one flat table, to today's form."""

from __future__ import annotations

from typing import Any

from ..data.labels import EXPRESSIONS
from .keys import RENAMED, find_key
from .resolve import PLACES
from .settings import Settings

#: Settings of every run in 0.1 that are options of some losses today.
_LOSS_OPTIONS = ("max_margin", "epsilon", "margin_unit", "beta", "class_weights", "unseen", "refresh", "estimate")


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """Converts a record of 0.1; anything else is returned unchanged, for the caller's shape check to refuse.

    The loss's options are all that 0.1 recorded, whether the loss used them or not; the classes are the seven
    expressions.
    """
    try:
        settings = nested(record["config"])
        history = [{("state" if key == "difc" else key): v for key, v in entry.items()} for entry in record["history"]]
        common = {group: dict(values) for group, values in settings.items() if group != "method"}
        common["loss"].pop("name"), common["loss"].pop("options"), common["run"].pop("seed")
        for name in ("classifier", "scale", "feature_head"):  # these follow from the loss or the method
            common["model"][name] = None
        identity = record["identity"]
        for group, names in PLACES.items():
            for name in names:
                common[group].pop(name)
        code = {"pa_difc": identity["package"]["code"]}
        weights = identity["config"].get("pretrained")
        shared = {"settings": common, "labels": EXPRESSIONS.digest, "data": identity["data"], "code": code}
        shared |= {"weights": weights, "features": record["data"]["source"].get("features_of")}
        return {
            **record,
            "format": 2,
            "labels": EXPRESSIONS.to_dict(),
            "settings": settings,
            "history": history,
            "common": shared,
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        return record


def nested(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Converts the flat settings of 0.1 to today's groups and names."""
    found = Settings().to_dict()  # settings that 0.1 lacked have today's defaults
    found["loss"]["options"], found["method"]["options"] = {}, {}
    found["model"]["input_scale"], found["eval"]["views"] = 1.0, "none"
    for key, value in config.items():
        if key in _LOSS_OPTIONS:
            found["loss"]["options"][key] = value
        elif key == "weight":
            found["method"]["options"][key] = value
        else:
            group, name = find_key(RENAMED.get(key, key), named={}).split(".")
            found[group][name] = value
    return found
