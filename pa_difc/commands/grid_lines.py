"""The line that reports a finished cell of a grid: its scores, its time, and the time left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..util.durations import duration, time_left
from ..util.intervals import accuracy_of, in_brackets
from ..util.terminal import columns, on_one_line

Record = dict[str, Any]

#: With fewer test faces, lines show the interval of accuracy: it is wider than about ±4 points.
_FEW_FACES = 500


class Brief(NamedTuple):
    """A run's scores in a few words; a narrow terminal may have room for the main one alone."""

    main: str
    short: str  #: the main one in fewer words
    before: str = ""  #: what stands before it
    interval: str = ""  #: of what stands before it
    more: str = ""  #: what adds to the main one

    def __str__(self) -> str:
        return _joined(self.first, f"{self.main} {self.more}".rstrip())

    @property
    def first(self) -> str:
        """What stands before the main one, with its interval."""
        return f"{self.before} {self.interval}".rstrip()


def in_brief(record: Record) -> Brief:
    """A run's scores: on the target, or on held-out source faces if the target has no labels."""
    scores = record["scores"]
    if target := scores.get("target"):
        recall, frequent = f"{target['macro_recall']:5.1%}", target["macro_recall_20"]
        told = frequent is not None and f"{frequent:5.1%}" != recall
        more = f"(≥ 20 faces {frequent:.1%})" if told else ""
        accuracy = f"accuracy {target['accuracy']:5.1%}"
        return Brief(f"mean recall {recall}", f"recall {recall}", accuracy, interval_of(target), more)
    return _unlabelled(record, scores["unlabelled_target"]["predicted"])


def interval_of(scores: Record) -> str:
    """The 95 % interval of accuracy in brackets; empty for 500 faces or more."""
    few = sum(map(sum, scores["confusion"])) < _FEW_FACES
    return in_brackets(accuracy_of(scores["confusion"])) if few else ""


def in_brief_before_adjusting(record: Record) -> Brief:
    """A run's scores before its predictions are re-weighted; mean recall afterwards, so named, adds to them."""
    scores = record["scores"]
    if (before := scores.get("target_unadjusted")) is None:
        return in_brief(record)
    plain = in_brief(record | {"scores": scores | {"target": before}})
    more = "; ".join(filter(None, [f"adjusted {scores['target']['macro_recall']:.1%}", plain.more.strip("()")]))
    return plain._replace(more=f"({more})")


def in_brief_without_labels(record: Record) -> Brief:
    """A run's scores as if the target had no labels: on held-out source faces, and the number of predicted classes."""
    scores = record["scores"]
    if target := scores.get("target"):
        return _unlabelled(record, [sum(column) for column in zip(*target["confusion"], strict=True)])
    return in_brief(record)


def _unlabelled(record: Record, predicted: Sequence[int]) -> Brief:
    """Source recall, and how many classes are among the target's predictions; ``predicted`` counts them by class."""
    scores, classes = record["scores"], sum(count > 0 for count in predicted)
    recall = f"source recall {scores['source']['macro_recall']:5.1%}" if "source" in scores else ""
    found = f"classes {classes} of {len(record['labels']['names'])}"
    return Brief(found, found, recall)


def done_line(head: str, scores: Brief, seconds: float | None, left: str) -> str:
    """A finished cell's line; on a terminal that is too narrow for it, without its least important parts.

    Args:
        head: how many cells are finished, and the cell's name.
        scores: of the cell.
        seconds: that the cell took; None if it was trained before.
        left: the time left in words, or empty.
    """
    left = left.ljust(len(time_left(99 * 60)))  # lines without it, such as the last one, lose the same parts
    took = f"{'kept' if seconds is None else duration(seconds):>6}"
    both = scores._replace(more="")
    lines = [
        _joined(head, str(scores), took, left),
        _joined(head, str(both), took, left),
        _joined(head, str(both), left),
        *([_joined(head, scores.first, scores.short, left)] if scores.interval else []),
        _joined(head, str(both._replace(interval="")), left),
        _joined(head, scores.main, left),
        _joined(head, scores.short, left),
        _joined(head, scores.short),
    ]
    room = columns()
    return next((line for line in lines if len(on_one_line(line)) <= room), lines[-1]).rstrip()


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
