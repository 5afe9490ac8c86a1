"""A model's card, written from its run's record."""

from __future__ import annotations

from typing import Any

from ..data.labels import EXPRESSIONS


def model_card(record: dict[str, Any], settings: dict[str, Any]) -> str:
    """Markdown: what the model is, what it was trained on, how it was chosen, how good it is and where it fails.

    Args:
        record: of the run.
        settings: of the model's folder.
    """
    config, scores, data = record["config"], record["scores"], record["data"]
    shown = scores["target"] if "target" in scores else scores["unlabelled_target"]
    quality = _scored(record) if "target" in scores else _unscored(record)
    warning = "\n**It has collapsed: fewer than half of the classes are ever predicted.**\n"
    collapsed = warning if shown["collapsed"] else ""
    faces = {side: sum(data[side]["train_counts"]) for side in ("source", "target")}
    if "target" not in scores:  # the one split of a set without labels was predicted whole
        faces["target"] = sum(shown["predicted"])
    counts = {side: f"{data[side]['name']}, {n:,} faces" for side, n in faces.items()}
    versions = ", ".join(f"{name} {record['versions'][name]}" for name in ("pa-difc", "torch"))
    crop = settings["input"]["crop"]
    how = f"cut out as `{crop}`" if settings["input"]["prepared"] else "taken as they are"
    return f"""# {config["method"]} + {config["loss"]}, {config["source"]} → {config["target"]}

A classifier of seven facial expressions for the domain "{config["target"]}", whose labels it never saw.

## Made from

- labelled: {counts["source"]}; unlabelled: {counts["target"]}; {how}, {config["crop_px"]} px
- method {config["method"]}, loss {config["loss"]}, network {config["backbone"]} ({config["backbone_head"]}),
  {config["epochs"]} epochs, seed {config["seed"]}
- selection: {record["selection"]}; target labels used in training or selection: {record["target_labels"]}
- run {record["key"]}, {record["finished"]}, {versions}

## How good it is

{quality}{collapsed}
## What it can't do

It says which of seven words people would have chosen for a picture of a face. That is not what the person feels: faces
of the same feeling differ between people, cultures and situations, and faces can be put on. Its errors are not spread
evenly over age, sex, skin and pose, and this record does not measure that. Do not use it to judge people: not for work,
police, school or health. Faces that the detector does not find get no prediction.

The datasets have terms of their own, which may extend to models made from them.

## Use

    pa-difc predict --model . photo.jpg --annotate out
"""


def _scored(record: dict[str, Any]) -> str:
    target, source = record["scores"]["target"], record["scores"]["source"]
    counts = record["data"]["target"]["test_counts"]
    recalls = [
        f"| {name} | {_percent(s)} | {_percent(t)} | {n:,} |"
        for name, s, t, n in zip(EXPRESSIONS, source["recall"], target["recall"], counts, strict=True)
    ]
    accuracy, mean_recall, f1 = (_percent(target[name]) for name in ("accuracy", "macro_recall", "macro_f1"))
    return f"""Target test split: accuracy {accuracy}, mean recall {mean_recall}, macro-F1 {f1}.
Labels of the target were read to write these numbers, and for nothing else.

| class | recall, source | recall, target | target test faces |
| --- | ---: | ---: | ---: |
{chr(10).join(recalls)}

A recall from few faces says little.
"""


def _unscored(record: dict[str, Any]) -> str:
    source, predicted = record["scores"]["source"], record["scores"]["unlabelled_target"]["predicted"]
    rows = [
        f"| {name} | {_percent(r)} | {_percent(n / sum(predicted))} |"
        for name, r, n in zip(EXPRESSIONS, source["recall"], predicted, strict=True)
    ]
    return f"""Nobody knows: there were no labels of the target to score by. Label some hundred of its faces before you
rely on it. On held-out faces of the source: mean recall {_percent(source["macro_recall"])}.

| class | recall, source | share of the target's predictions |
| --- | ---: | ---: |
{chr(10).join(rows)}
"""


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
