"""The YAML head of a model card, which the Hugging Face hub lists and filters models by."""

from __future__ import annotations

import json
import re
from typing import Any

from ..data.labels import LabelSet
from ..training.model_settings import of_expressions
from ..training.origins import base_model

#: Dataset names that the hub accepts; it excludes users' own folders, whose paths should not be published.
_DATASET = re.compile(r"[A-Za-z0-9][\w.-]*")
_METRICS = {"accuracy": "accuracy", "macro_recall": "recall", "macro_f1": "f1"}
_NAMES = {"accuracy": "accuracy", "macro_recall": "mean recall", "macro_f1": "macro-F1"}


def front_matter(record: dict[str, Any], settings: dict[str, Any]) -> str:
    """YAML between two lines of dashes: license, task, tags, datasets and scores.

    The license is "other", because the datasets' terms apply and this program does not know them. Strings are quoted as
    in JSON, which YAML reads too.

    Args:
        record: of the model's run.
        settings: from the model's folder.
    """
    labels = LabelSet.from_dict(settings["labels"])
    method, loss = (record["settings"][group]["name"] for group in ("method", "loss"))
    tags = ["domain-adaptation", "pytorch-adapt", method, loss]
    if of_expressions(labels):
        tags.insert(0, "facial-expression-recognition")
    lines = [
        "---",
        "license: other",
        "license_name: terms-of-the-datasets",
        "library_name: pa-difc",
        "pipeline_tag: image-classification",
        *_listed("tags", tags),
    ]
    if (base := base_model(settings.get("origins", []))) is not None:
        lines.append(f"base_model: {_quoted(base)}")
    datasets = [record["data"][side]["name"] for side in ("source", "target")]
    lines += _listed("datasets", [name for name in dict.fromkeys(datasets) if _DATASET.fullmatch(name)])
    if "target" in record["scores"]:
        lines += _listed("metrics", list(_METRICS.values()))
        lines += _results(record, f"{method}-{loss}-{record['key']}")
    return "\n".join([*lines, "---", ""])


def _listed(key: str, values: list[str]) -> list[str]:
    return [f"{key}:", *(f"- {_quoted(value)}" for value in values)] if values else []


def _results(record: dict[str, Any], name: str) -> list[str]:
    """The hub's ``model-index``: scores on the target's test split."""
    target = record["data"]["target"]["name"]
    dataset = target if _DATASET.fullmatch(target) else "faces of our own"
    lines = [
        "model-index:",
        f"- name: {_quoted(name)}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "    dataset:",
        f"      name: {_quoted(dataset)}",
        f"      type: {_quoted(dataset.replace(' ', '-'))}",
        "      split: test",
        "    metrics:",
    ]
    for key, kind in _METRICS.items():
        value = record["scores"]["target"][key]
        if value is not None:
            lines += [f"    - type: {kind}", f"      name: {_NAMES[key]}", f"      value: {value:.4f}"]
    return lines


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
