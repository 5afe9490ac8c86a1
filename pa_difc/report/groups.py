"""Which runs may stand in one table, and how the tables of one source → target pair differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .variants import canonical, plain_value

#: Groups of settings in the order in which their differences are named.
_GROUPS = ("run", "optimiser", "loss", "data", "model", "method")
#: Settings that usually follow from others; they are named after these.
_DERIVED = ("confusion_epoch", "reweight_epoch", "crop_px", "feature_head", "classifier", "scale")
#: What a label-shift sweep varies.
_SWEPT = ("data.target_shift", "data.shift_draw", "data.target_sampler")
#: Identities of things that have no value to show, and their words.
_WORDS = {"package": "code", "fingerprints": "data", "pretrained": "weights"}

Record = dict[str, Any]


def group_key(record: Record) -> str:
    """Equal for records that may stand in one table: everything but method, loss and seed is the same."""
    data = record["settings"]["data"]
    return canonical([data["source"], data["target"], record["labels"]["names"], record["common"]])


def sweep_key(record: Record) -> str:
    """Equal for the records of one label-shift sweep.

    The target's resampled faces are other data for each draw, so that its fingerprints are left out.
    """
    settings, identities = _parts(record["common"])
    data = record["settings"]["data"]
    fixed = {key: value for key, value in settings.items() if key not in _SWEPT}
    others = {key: value for key, value in identities.items() if _word(key) != "data"}
    source = record["data"]["source"].get("train_fingerprint")
    return canonical([data["source"], data["target"], record["labels"]["names"], source, fixed, others])


def differences(commons: Sequence[Mapping[str, Any]], without: Sequence[str] = ()) -> list[list[str]]:
    """How groups of runs differ: for each, its values of the settings that are not the same in all, in words.

    Settings come first, then those that follow from others, then "latest code" and "other code", "… data", "… weights".

    Args:
        commons: of each group; the last one has the newest run.
        without: settings that are not named, such as "data.shift_draw".
    """
    parts = [_parts(common) for common in commons]
    settings = [values for values, _ in parts]
    keys = sorted({key for values in settings for key in values if key not in without}, key=_rank)
    keys = [key for key in keys if len({canonical(values.get(key)) for values in settings}) > 1]
    words = [_different_words([identities for _, identities in parts], i) for i in range(len(commons))]
    return [[_setting(key, v.get(key)) for key in keys] + more for v, more in zip(settings, words, strict=True)]


def swept_differences(commons: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The same for label-shift sweeps; what a sweep varies is no difference between sweeps."""
    return differences([_without_data(common) for common in commons], _SWEPT)


def _without_data(common: Mapping[str, Any]) -> dict[str, Any]:
    settings, identities = _parts(common)
    return {"settings": settings} | {key: value for key, value in identities.items() if _word(key) != "data"}


def _parts(common: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings by "group.name", and everything else by its first key."""
    groups = common.get("settings", {key: v for key, v in common.items() if key in _GROUPS and isinstance(v, dict)})
    others = {key: value for key, value in common.items() if key != "settings" and value is not groups.get(key)}
    settings = _flat(groups)
    for key in [key for key in settings if key.endswith(".pretrained") and settings[key] is not None]:
        others["pretrained"] = settings.pop(key)  # a hash of the file
    return settings, others


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _rank(key: str) -> tuple[bool, int, str]:
    group = key.partition(".")[0]
    return key.endswith(_DERIVED), _GROUPS.index(group) if group in _GROUPS else len(_GROUPS), key


def _setting(key: str, value: Any) -> str:
    """ "epochs 8", "optimiser sgd"."""
    group, _, name = key.partition(".")
    name = group if name == "name" else name.rpartition(".")[2]
    return f"{name} {plain_value(value)}"


def _word(key: str) -> str:
    return _WORDS.get(key, key)


def _different_words(identities: Sequence[Mapping[str, Any]], i: int) -> list[str]:
    """ "other code" for a group whose code is not that of the newest one, which has "latest code"."""
    found: list[str] = []
    for key in dict.fromkeys(key for values in identities for key in values):
        values = list(dict.fromkeys(canonical(v.get(key)) for v in reversed(identities)))  # the newest first
        if len(values) == 1:
            continue
        value = identities[i].get(key)
        if isinstance(value, int | float):
            found.append(f"{_word(key)} {plain_value(value)}")
            continue
        place = values.index(canonical(value))
        which = "latest" if place == 0 else "other"
        found.append(f"{which} {_word(key)}" + (f" {place}" if place and len(values) > 2 else ""))
    return found
