"""Names methods and losses in a table; one that was run with several options or versions of its code has several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]


def variant_names(records: Sequence[Record]) -> list[tuple[str, str]]:
    """The names of each record's method and loss that tell it apart from the other records.

    A method or loss with a single set of options keeps its plain name. With several, each name is followed by the
    options that differ, such as "difc max_margin=1", and by "other code" if its code is not that of the last record.

    Args:
        records: in the order in which they finished.
    """
    methods, losses = (_names(records, kind) for kind in ("method", "loss"))
    return list(zip(methods, losses, strict=True))


def plain_value(value: Any) -> str:
    """A setting's value as text for a label."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ",".join(map(plain_value, value))
    return str(value)


def canonical(value: Any) -> str:
    """A text that is the same for equal values; an integer equals the float of the same value."""
    return json.dumps(_as_floats(value), sort_keys=True)


def _as_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _as_floats(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_as_floats(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _names(records: Sequence[Record], kind: str) -> list[str]:
    entries = [record["settings"][kind] for record in records]
    variants: dict[str, list[tuple[dict[str, Any], str]]] = {}
    found = []
    for entry, record in zip(entries, records, strict=True):
        variant = (entry.get("options", {}), canonical(code_of(record, kind)))
        variants.setdefault(entry["name"], []).append(variant)
        found.append((entry["name"], variant))
    return [_name(name, variant, variants[name]) for name, variant in found]


def _name(name: str, variant: tuple[dict[str, Any], str], all_variants: list[tuple[dict[str, Any], str]]) -> str:
    options, code = variant
    keys = dict.fromkeys(key for other, _ in all_variants for key in other)
    differing = [k for k in keys if len({canonical(other.get(k, "no such option")) for other, _ in all_variants}) > 1]
    words = [
        f"{key}={_telling(options[key], [o[key] for o, _ in all_variants if key in o])}"
        for key in differing
        if key in options
    ]
    codes = list(dict.fromkeys(c for _, c in reversed(all_variants)))  # the newest first
    if code != codes[0]:
        words.append("other code" if len(codes) == 2 else f"other code {codes.index(code)}")
    return " ".join([name, *words])


def _telling(value: Any, values: Sequence[Any]) -> str:
    """A value as text; all of its digits if another value has the same text."""
    alike = {canonical(other) for other in values if plain_value(other) == plain_value(value)}
    return plain_value(value) if len(alike) == 1 else str(value)


def code_of(record: Record, kind: str) -> Any:
    """What identifies the code of a method or loss; a recipe counts as part of the method, built-in code as None."""
    code = record["identity"].get("code", {})
    parts = ("method", "recipe") if kind == "method" else ("loss",)
    return [code.get(part) for part in parts]
