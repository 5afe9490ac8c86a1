"""The weights and models that a run was made from: what is known of them, and what they may have seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..backbones.published import PUBLISHED
from ..backbones.spec import HUB, TIMM
from ..util.names import as_utf8, cell_name
from ..util.options import is_path
from ..util.shapes import ANY, TEXT, one_of

#: How a line begins that names a model or weights, by the part that they played.
_ROLES = {"start": "started from", "teacher": "taught by", "product": "multiplied with"}

_MODEL = {"method": TEXT, "loss": TEXT, "source": TEXT, "target": TEXT, "origins": [ANY]}
#: What :func:`named` and :func:`.made_from.origins` return, as in a model's settings.
SHAPE: list[Any] = [
    {
        "role": one_of(*_ROLES),
        "name": TEXT,
        "files": [{"name": TEXT, "sha256": TEXT}],
        "published?": TEXT,
        "hub?": TEXT,
        "model?": _MODEL,
    }
]


def places(settings: Mapping[str, Any]) -> dict[str, str]:
    """The files and folders that a run was made from, by the part that they played; "hub" is timm's hub.

    Args:
        settings: of the run, as in its record.
    """
    start = settings["model"].get("pretrained")
    others = {
        "teacher": settings["method"].get("options", {}).get("teacher"),
        "product": settings.get("eval", {}).get("product"),
    }
    found = {role: place for role, place in others.items() if is_path(place)}
    return found if start is None else {"start": start, **found}


def named(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The names of what a run was made from, for records that say nothing more; see :func:`.made_from.origins`."""
    found = []
    for role, place in places(settings).items():
        hub = role == "start" and place == HUB
        own = str(settings["model"]["backbone"]) if hub else as_utf8(Path(place).name or Path(place).resolve().name)
        found.append({"role": role, "name": own, "files": [], **({"hub": own.removeprefix(f"{TIMM}:")} if hub else {})})
    return found


def origin_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line on each of a model's :func:`origins`: name, origin, terms and training data."""
    return [f"{_ROLES[one['role']]} {_described(one)}" for one in found]


def seen_before(found: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> str:
    """A sentence without a full stop on faces that a model's :func:`named` origins may have seen; else empty.

    Args:
        found: the origins.
        datasets: names of the data that the model was scored on.
    """
    if not (who := [_with_training_data(one) for one in found if _may_have_seen(one)]):
        return ""
    return (
        f"{' and '.join(dict.fromkeys(who))} may have seen faces of {' or '.join(dict.fromkeys(datasets))} in "
        "training: then scores on them are too optimistic, also on faces held out here"
    )


def base_model(found: Sequence[Mapping[str, Any]]) -> str | None:
    """The Hugging Face hub's name of the network that a model started from; None if it isn't there."""
    names = [one["hub"] for one in found if one["role"] == "start" and "." in one.get("hub", "")]
    return f"timm/{names[0]}" if names else None  # without a tag, a name stands for other weights in other versions


def _described(one: Mapping[str, Any]) -> str:
    if "hub" in one:
        return f"timm's weights for {one['hub']}, from its hub"
    if (weights := PUBLISHED.get(one.get("published", ""))) is not None:
        terms = f"from {weights.origin}; terms: {weights.terms}; trained on {weights.trained_on}"
        return f"the public weights {one['published']} ({terms})"
    if (model := one.get("model")) is not None:
        before = "".join(f"; {line}" for line in origin_lines(model["origins"]))
        data = f"{model['source']} → {model['target']}"
        return f"the model {one['name']} ({cell_name(model['method'], model['loss'])}, {data}{before})"
    return f"the weights {one['name']}, of unknown origin, terms and training data"


def _with_training_data(one: Mapping[str, Any]) -> str:
    if (weights := PUBLISHED.get(one.get("published", ""))) is not None:
        return f"{one['published']} (trained on {weights.trained_on})"
    if (model := one.get("model")) is not None:
        return f"{one['name']} (trained on {model['source']} → {model['target']})"
    return f"{one['name']} (whose training data is not known)"


def _may_have_seen(one: Mapping[str, Any]) -> bool:
    """Whether weights may have been trained on the classes of the faces that a model is scored on."""
    weights = PUBLISHED.get(one.get("published", ""))
    return "hub" not in one and (weights is None or bool(weights.classifier))
