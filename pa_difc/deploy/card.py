"""A model's card, written from its run's record."""

from __future__ import annotations

from typing import Any

from ..data.labels import LabelSet
from ..training.learnt import learnt_little
from ..training.model_settings import of_expressions, product_line
from ..training.origins import origin_lines, seen_before
from ..util.intervals import accuracy_of, in_brackets
from ..util.names import cell_name
from .front_matter import front_matter
from .temperature import temperature_line

_LISTED = 12  #: most class names that the card lists outside its table

_EXPRESSIONS = """It says which of {k} words people would have chosen for a picture of a face. That is not what the
person feels: faces of the same feeling differ between people, cultures and situations, and expressions can be posed."""

_OTHERS = "It says which of {k} classes a picture of a face looks most like, even if it is of none of them."

_UNCERTAIN = "\nA recall from few faces is uncertain.\n"


def model_card(record: dict[str, Any], settings: dict[str, Any]) -> str:
    """The model card in Markdown: training data, selection, scores, limits and use.

    Args:
        record: of the model's run.
        settings: from the model's folder.
    """
    labels, data = LabelSet.from_dict(settings["labels"]), settings["settings"]["data"]
    method, loss = (record["settings"][group]["name"] for group in ("method", "loss"))
    shown = _target_scores(record)
    quality = _scored(record, labels) if "target" in record["scores"] else _unscored(record, labels)
    warning = "\n**This model has collapsed: it predicts fewer than half of the classes, or almost only one.**\n"
    collapsed = warning if shown["collapsed"] else ""
    return f"""{front_matter(record, settings)}
# {cell_name(method, loss)}, {data["source"]} → {data["target"]}

A classifier of {len(labels)} classes: {_names(labels)}; for the domain "{data["target"]}", whose labels it never saw.
{_not_yet(record)}
## Made from

{_made_from(record, settings)}{_origins(record, settings)}{_views(settings["settings"])}{_changed(settings)}
- selection: {record["selection"]}; target labels used in training or selection: {record["target_labels"]}
- run {record["key"]}, {record["finished"]}, {_versions(record)}

## How good it is

{quality}{collapsed}
## What it can't do

{limits(labels)}

Its errors are not spread evenly over age, sex, skin and pose, and this record does not measure that. Do not use it to
judge people: not in employment, policing, education or health. Faces that the detector misses get no prediction.

Datasets and pretrained weights have their own terms, which may extend to models made from them.

## Use

{_use(settings)}

`preprocessor_config.json` says what the network takes and how a face is cropped from a photograph. If there is a
`model.onnx`, `python use_onnx.py face.jpg` runs it without pa-difc: with onnxruntime, numpy and pillow.
"""


def _not_yet(record: dict[str, Any]) -> str:
    """A warning if the model may hardly beat guessing on held-out source faces; else empty."""
    why = learnt_little([record])
    needs = "longer training, more labelled faces, or other weights to start from"
    return f"\n**Do not use it yet: {why}.** It needs {needs}.\n" if why else ""


def _use(settings: dict[str, Any]) -> str:
    """The command that predicts with the crop of the training images."""
    if settings["input"]["prepared"]:
        return "    pa-difc predict --model . photo.jpg --annotate out"
    return """    pa-difc predict --model . --crop none face.jpg

for images cut like those that it was trained on, which were taken as they are. Without `--crop none`, faces are
detected and cropped, which it has not seen in training."""


def limits(labels: LabelSet) -> str:
    """What the predictions of a model with these classes mean, and what they do not."""
    return (_EXPRESSIONS if of_expressions(labels) else _OTHERS).format(k=len(labels))


def _names(labels: LabelSet) -> str:
    shown = ", ".join(labels.names[:_LISTED])
    return shown if len(labels) <= _LISTED else f"{shown} and {len(labels) - _LISTED} more"


def _target_scores(record: dict[str, Any]) -> dict[str, Any]:
    scores: dict[str, Any] = record["scores"]
    found: dict[str, Any] = scores["target"] if "target" in scores else scores["unlabelled_target"]
    return found


def _made_from(record: dict[str, Any], settings: dict[str, Any]) -> str:
    data, run, model = record["data"], record["settings"]["run"], settings["settings"]["model"]
    method, loss = (record["settings"][group]["name"] for group in ("method", "loss"))
    epochs = f"{run['epochs']} epoch{'s' * (run['epochs'] != 1)}"
    trained = f"{epochs}, seed {run['seed']}" if record["history"] else "as its weights were: not trained"
    faces = {side: sum(data[side]["train_counts"]) for side in ("source", "target")}
    if "target" not in record["scores"]:  # an unlabelled dataset has a single split, and all of it was predicted
        faces["target"] = sum(_target_scores(record)["predicted"])
    counts = {side: f"{data[side]['name']}, {n:,} faces" for side, n in faces.items()}
    given = settings["input"]
    how = f"cropped as `{given['crop']}`" if given["prepared"] else "taken as they are"
    head = f"grid over {model['maps']}" if model.get("pool", "average") == "grid" else model["feature_head"]
    labelled = f"labelled: {counts['source']}; " if record["scores"].get("source") else ""
    return f"""- {labelled}unlabelled: {counts["target"]}; {how}, {given["size_px"]} px
- method {method}, loss {loss}, network {model["backbone"]} ({head}),
  {trained}"""


def _origins(record: dict[str, Any], settings: dict[str, Any]) -> str:
    """Lines on the weights and models that the model was made from, their hashes, and what they may have seen."""
    found = settings.get("origins", [])
    lines = []
    for one, line in zip(found, origin_lines(found), strict=True):
        lines += [f"- {line}", *(f"  - `{file['name']}`, sha256 {file['sha256']}" for file in one["files"])]
    scored = [record["data"][side]["name"] for side in ("source", "target") if sum(record["data"][side]["test_counts"])]
    if warning := seen_before(found, scored):
        lines.append(f"- **{warning}**")
    return "".join(f"\n{line}" for line in lines)


def _views(settings: dict[str, Any]) -> str:
    """Lines on input scale and views, if they differ from the plain face."""
    views, scale = settings.get("eval", {}).get("views", "none"), settings["model"].get("input_scale", 1.0)
    shown = f"\n- the network is shown each face at {scale:g} times its size" if scale != 1.0 else ""
    return shown + (f"\n- a prediction is the mean over views of the face: {views}" if views != "none" else "")


def _changed(settings: dict[str, Any]) -> str:
    """Lines on the model whose probabilities multiply the predictions, and on a calibrated temperature, if any."""
    return "".join(f"\n- {line}" for line in (product_line(settings), temperature_line(settings)) if line)


def _versions(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {record['versions'][name]}" for name in ("pa-difc", "torch"))


def _scored(record: dict[str, Any], labels: LabelSet) -> str:
    target, source = record["scores"]["target"], _source_recalls(record, labels)
    tested, counts = _source_faces(record, labels), record["data"]["target"]["test_counts"]
    recalls = [
        f"| {name} | {_percent(s)} | {m} | {_percent(t)} | {n:,} |"
        for name, s, m, t, n in zip(labels.names, source, tested, target["recall"], counts, strict=True)
    ]
    accuracy, mean_recall, f1 = (_percent(target[name]) for name in ("accuracy", "macro_recall", "macro_f1"))
    frequent, sure = target["macro_recall_20"], in_brackets(accuracy_of(target["confusion"]))
    more = f";\nmean recall over the classes with at least 20 test faces {_percent(frequent)}" * (frequent is not None)
    return f"""Target test split: accuracy {accuracy} {sure}, mean recall {mean_recall}, macro-F1 {f1}{more}.
In brackets: the 95 % interval.
Labels of the target were read to write these numbers, and for nothing else.

| class | recall, source | of faces | recall, target | of faces |
| --- | ---: | ---: | ---: | ---: |
{chr(10).join(recalls)}
{_UNCERTAIN}"""


def _unscored(record: dict[str, Any], labels: LabelSet) -> str:
    source, predicted = _source_recalls(record, labels), record["scores"]["unlabelled_target"]["predicted"]
    rows = [
        f"| {name} | {_percent(r)} | {m} | {_percent(n / sum(predicted))} |"
        for name, r, m, n in zip(labels.names, source, _source_faces(record, labels), predicted, strict=True)
    ]
    scores = record["scores"].get("source")
    known = f"On held-out faces of the source: mean recall {_percent(scores['macro_recall'])}." if scores else ""
    held_out = known or "There was no labelled source to score on either."
    return f"""Unknown: the target had no labels to score by. Label a few hundred of its faces before you
rely on it. {held_out}

| class | recall, source | of faces | share of the target's predictions |
| --- | ---: | ---: | ---: |
{chr(10).join(rows)}
{_UNCERTAIN * bool(scores)}"""


def _source_recalls(record: dict[str, Any], labels: LabelSet) -> list[float | None]:
    """Recall on the source by class; all None without a source."""
    scores = record["scores"].get("source")
    return scores["recall"] if scores else [None] * len(labels)


def _source_faces(record: dict[str, Any], labels: LabelSet) -> list[str]:
    """How many held-out source faces each class has; dashes without a source."""
    return (
        [f"{n:,}" for n in record["data"]["source"]["test_counts"]]
        if record["scores"].get("source")
        else ["–"] * len(labels)
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
