"""Records of version 0.1, whose settings were one flat table, in today's form."""

from __future__ import annotations

from typing import Any

from ..data.labels import EXPRESSIONS
from .keys import RENAMED, find_key
from .resolve import PLACES
from .settings import Settings

#: What 0.1 kept as settings of every run, and is an option of some losses or of the method now.
_LOSS_OPTIONS = ("max_margin", "epsilon", "margin_unit", "beta", "class_weights", "unseen", "refresh", "estimate")


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A record of 0.1 as one of today; what is no such record comes back as it is, and is refused by its shape.

    Its options of the loss are those that every run of 0.1 recorded, whether its loss looked at them or not; classes
    were the seven expressions.
    """
    try:
        settings = nested(record["config"])
        history = [{("state" if key == "difc" else key): v for key, v in entry.items()} for entry in record["history"]]
        common = {group: dict(values) for group, values in settings.items() if group != "method"}
        common["loss"].pop("name"), common["loss"].pop("options"), common["run"].pop("seed")
        for name in ("classifier", "scale", "feature_head"):  # a loss or a method brings its own along
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
    """The flat settings of 0.1 by today's groups and names."""
    found = Settings().to_dict()  # what 0.1 had no setting for was as the defaults are
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
