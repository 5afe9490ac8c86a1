"""The machine-readable tables of an error page: predictions.csv and groups.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..util.files import refuse_foreign, refuse_links, write_text
from ..util.intervals import Share
from ..util.numbers import exact
from .group_recall import ByGroup
from .reviewed import Reviewed
from .table import csv_text

PREDICTIONS, GROUPS = "predictions.csv", "groups.csv"

#: The first columns of each file, and the prefixes of its other columns.
_HEADS = {
    PREDICTIONS: (["path"], ("true", "predicted", "confidence", "disagreement", "p_")),
    GROUPS: (["column", "group", "faces"], ("right", "accuracy", "mean_recall", "recall_", "faces_")),
}


def require_our_tables(folder: Path) -> None:
    """Refuses a folder in which a table would overwrite somebody else's file, or a table with added columns.

    Raises:
        UserError: there is such a file, or a link in its place.
    """
    for name in _HEADS:
        file = folder / name
        refuse_links(file, instead="another --out")
        refuse_foreign(file, ours=_is_ours, writer="this command", instead="another --out")


def write_predictions(reviewed: Reviewed, file: Path) -> None:
    """Writes a row for each face: path, true class if there are labels, predicted class, confidence, probabilities.

    If several cells were compared, "disagreement" is their mean KL divergence from their mean, in nats.

    Raises:
        UserError: the file can't be written.
    """
    write_text(file, csv_text(_prediction_rows(reviewed)))


def _prediction_rows(r: Reviewed) -> Iterator[list[Any]]:
    true = [] if r.labels is None else ["true"]
    divided = [] if r.committee is None else ["disagreement"]
    yield ["path", *true, "predicted", "confidence", *divided, *(f"p_{name}" for name in r.classes)]
    predicted, confidence = r.predicted, r.confidence
    for i, name in enumerate(r.faces.names):
        row: list[Any] = [name]
        row += [] if r.labels is None else [r.classes[r.labels[i]]]
        row += [r.classes[predicted[i]], exact(confidence[i])]
        row += [] if r.committee is None else [f"{r.committee.divergence[i]:.6f}"]
        yield [*row, *map(exact, r.probs[i])]


def write_groups(groups: Sequence[ByGroup], classes: Sequence[str], file: Path) -> None:
    """Writes a row for each group of each column: numbers of faces, and shares in [0, 1] with 95 % intervals.

    Raises:
        UserError: the file can't be written.
    """
    write_text(file, csv_text(_group_rows(groups, classes)))


def _group_rows(groups: Sequence[ByGroup], classes: Sequence[str]) -> Iterator[list[Any]]:
    shares = [f"{score}{end}" for score in ("accuracy", "mean_recall") for end in ("", "_low", "_high")]
    recalls = [f"{part}_{name}" for name in classes for part in ("faces", "recall")]
    yield ["column", "group", "faces", "right", *shares, "mean_recall_classes", *recalls]
    for one in groups:
        over = ", ".join(classes[k] for k in one.classes)
        for group in one.groups:
            row: list[Any] = [one.column, group.name, group.faces, int(group.right.sum())]
            row += [*_ends(group.accuracy), *_ends(group.mean_recall), over]
            for k in range(len(classes)):
                recall = group.recall(k)
                row += [int(group.counts[k]), "" if recall is None else f"{recall.value:.6f}"]
            yield row


def _ends(found: Share | None) -> list[str]:
    return ["", "", ""] if found is None else [f"{v:.6f}" for v in (found.value, found.low, found.high)]


def _is_ours(file: Path) -> bool:
    """Whether a file's header is one that this module writes."""
    if not file.is_file():
        return False
    begins, others = _HEADS[file.name]
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        try:
            head = next(csv.reader(stream), [])
        except csv.Error:
            return False
    rest = head[len(begins) :]
    return head[: len(begins)] == begins and len(rest) > 0 and all(name.startswith(others) for name in rest)
