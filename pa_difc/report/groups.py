"""Decides which runs belong in one table, and says how the tables of one source → target pair differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .variants import canonical, plain_value

#: Groups of settings, in the order in which differences are listed.
_GROUPS = ("run", "optimiser", "loss", "data", "model", "method", "eval")
#: Settings that usually follow from others, and are listed after them.
_DERIVED = ("confusion_epoch", "reweight_epoch", "crop_px", "feature_head", "classifier", "scale")
_SHORT = 3  #: most differences in a heading, unless more are needed to tell groups apart
#: The settings that a label-shift sweep varies.
_SWEPT = ("data.target_shift", "data.shift_draw", "data.target_sampler")
#: The settings that name a pair of datasets.
_PAIR = ("data.source", "data.target")
#: The kinds of plugins whose code a label-shift sweep varies, and that several pairs may differ in.
_SAMPLER, _DATASETS = ("target_sampler",), ("source", "target")
#: Identities that are hashes, and the words for them.
_WORDS = {"package": "code", "fingerprints": "data", "pretrained": "weights"}

Record = dict[str, Any]


def group_key(record: Record) -> str:
    """A key that is equal for records of one table: they differ only in method, loss and seed."""
    data = record["settings"]["data"]
    return canonical([data["source"], data["target"], record["labels"]["names"], record["common"]])


def key_but_pair(record: Record) -> str:
    """A key that is equal for records that differ only in method, loss, seed, and the pair of datasets."""
    settings, identities = _parts(record["common"])
    fixed = {key: value for key, value in settings.items() if key not in _PAIR}
    others = {key: value for key, value in identities.items() if _word(key) != "data"}
    others["code"] = _without(others.get("code"), _DATASETS)
    others["features"] = others.get("features") is not None  # each pair has its own run that extracted them
    return canonical([record["labels"]["names"], fixed, others])


def sweep_key(record: Record) -> str:
    """A key that is equal for the records of one label-shift sweep.

    Fingerprints of the target are left out, because each draw resamples its faces.
    """
    settings, identities = _parts(record["common"])
    data = record["settings"]["data"]
    fixed = {key: value for key, value in settings.items() if key not in _SWEPT}
    others = {key: _without(value, _SAMPLER) for key, value in identities.items() if _word(key) != "data"}
    source = record["data"]["source"].get("train_fingerprint")
    return canonical([data["source"], data["target"], record["labels"]["names"], source, fixed, others])


def differences(records: Sequence[Record], *, swept: bool = False, over_pairs: bool = False) -> list[list[str]]:
    """How groups of runs differ: for each group, the settings that are not the same in all, such as "epochs 8".

    "Frozen features" or "the whole network" comes first, then settings, those that follow from others, and "latest
    code" or "other code", "… data", "… weights". All groups have equally many entries, on the same subjects.

    Args:
        records: one of each group; the last group has the newest run.
        swept: whether the groups are label-shift sweeps, within which some settings and the data vary.
        over_pairs: whether the groups are of several pairs of datasets, so that the data says nothing.
    """
    parts = [_parts(record["common"]) for record in records]
    without = _SWEPT if swept else _PAIR if over_pairs else ()
    plugins = _SAMPLER if swept else _DATASETS if over_pairs else ()
    identities = [
        {k: _without(v, plugins) for k, v in others.items() if not (plugins and _word(k) == "data")}
        | {"classes": record["labels"]["names"]}
        for (_, others), record in zip(parts, records, strict=True)
    ]
    trained = _trained(records, identities, over_pairs)
    if len({canonical(found["classes"]) for found in identities}) > 1:
        identities = [{k: v for k, v in found.items() if k != "labels"} for found in identities]  # it says the same
    settings = [values for values, _ in parts]
    keys = sorted({key for values in settings for key in values if key not in without}, key=_rank)
    keys = [key for key in keys if len({canonical(values.get(key)) for values in settings}) > 1]
    words = [_different_words(records, identities, i) for i in range(len(records))]
    settings_words = [[_setting(key, values.get(key)) for key in keys] for values in settings]
    return [[*one, *two, *three] for one, two, three in zip(trained, settings_words, words, strict=True)]


def _trained(records: Sequence[Record], identities: Sequence[dict[str, Any]], over_pairs: bool) -> list[list[str]]:
    """What was trained in each group, if that differs: heads on frozen features, or the whole network.

    Takes the features out of the identities. The fingerprints of features are not those of their images, so groups with
    equally many faces of each class count as having the same data.
    """
    features = [found.pop("features", None) for found in identities]
    if over_pairs:  # each pair has its own run that extracted them
        features = [key and "extracted" for key in features]
    if len(set(features)) == 1:
        return [[] for _ in records]
    counts = [canonical([[side["train_counts"], side["test_counts"]] for side in r["data"].values()]) for r in records]
    images = {n: found.get("data") for n, found, key in zip(counts, identities, features, strict=True) if not key}
    for n, found, key in zip(counts, identities, features, strict=True):
        if key and "data" in found:
            found["data"] = images.get(n, n)
    newest = list(dict.fromkeys(key for key in reversed(features) if key))
    seeds = {key: r["data"]["source"].get("features_seed") for key, r in zip(features, records, strict=True) if key}
    if len(seeds) > 1 and None not in seeds.values() and len(set(seeds.values())) == len(seeds):
        said = {key: f"features of the network of seed {seed}" for key, seed in seeds.items()}
    else:
        said = {key: _ranked("frozen features", newest, key) for key in newest}
    return [[said[key] if key else "the whole network"] for key in features]


def headings(differs: Sequence[Sequence[str]]) -> list[str]:
    """The differences of each group, shortened: the first three, and those that are needed to tell groups apart."""
    width = len(differs[0])
    chosen = list(range(min(_SHORT, width)))
    for i in range(_SHORT, width):
        seen: dict[tuple[str, ...], set[str]] = {}
        for words in differs:
            seen.setdefault(tuple(words[c] for c in chosen), set()).add(words[i])
        if any(len(values) > 1 for values in seen.values()):
            chosen.append(i)
    more = ["…"] if len(chosen) < width else []
    return [", ".join([*(words[c] for c in chosen), *more]) for words in differs]


def _without(value: Any, kinds: Sequence[str]) -> Any:
    """An identity without the code of some kinds of plugins."""
    return {k: v for k, v in value.items() if k not in kinds} if isinstance(value, dict) else value


def _parts(common: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits a record's common part into settings by "group.name", and all other identities by their key."""
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
    """A setting as words, such as "epochs 8" or "optimiser sgd"."""
    group, _, name = key.partition(".")
    name = group if name == "name" else name.rpartition(".")[2]
    return f"{name} {plain_value(value)}"


def _word(key: str) -> str:
    return _WORDS.get(key, key)


def _different_words(records: Sequence[Record], identities: Sequence[Mapping[str, Any]], i: int) -> list[str]:
    """Group i's words for identities that differ: the newest group has "latest code", one with another "other code"."""
    found: list[str] = []
    for key in dict.fromkeys(key for values in identities for key in values):
        values = list(dict.fromkeys(canonical(v.get(key)) for v in reversed(identities)))  # the newest first
        if len(values) == 1:
            continue
        value = identities[i].get(key)
        if key == "classes" and len({len(names[key]) for names in identities}) == len(values):
            found.append(f"{len(identities[i][key])} classes")
            continue
        if isinstance(value, int | float):
            found.append(f"{_word(key)} {plain_value(value)}")
            continue
        told = f" ({version})" if _word(key) == "code" and (version := code_version(records[i])) else ""
        found.append(_ranked(_word(key), values, canonical(value)) + told)
    return found


def _ranked(word: str, values: Sequence[str], value: str) -> str:
    """A word for one of several values, the newest first: "latest code", "other code" or, of many, "other code 2"."""
    place = values.index(value)
    if len(values) == 1:
        return word
    return f"{'latest' if place == 0 else 'other'} {word}" + (f" {place}" if place and len(values) > 2 else "")


def code_version(record: Record) -> str:
    """The package's version and, if known, the commit that a run's code was from; empty for records without either."""
    version, commit = record.get("versions", {}).get("pa-difc"), record.get("git")
    return ", ".join([*([str(version)] if version else []), *([f"commit {commit[:7]}"] if commit else [])])


def telling(headings: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Marks that tell groups with equal headings apart: their keys; "" for a group whose heading is unique."""
    return [key if headings.count(heading) > 1 else "" for heading, key in zip(headings, keys, strict=True)]
