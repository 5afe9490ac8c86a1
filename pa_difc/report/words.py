"""The first sentences of an error page, and its numbers as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..evaluation.metrics import ENOUGH_CLASSES, ENOUGH_FACES
from ..util.intervals import Share, wilson
from ..util.names import listed
from ..util.numbers import fixed, minus
from .group_recall import FEWEST_OF_CLASS, ByGroup
from .mistakes import CONFIDENCES, Pair, find_pairs
from .reviewed import Reviewed
from .statistics import SIGNIFICANT

_UNSURE, _SURE = CONFIDENCES[1], CONFIDENCES[-1]
_NAMED = 3  #: classes, or pairs of them, named before several others are counted


def share(value: float) -> str:
    """A share in whole %; only exactly 0 is shown as 0%, and only exactly 1 as 100%."""
    if 0 < value < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= value < 1 else f"{fixed(100 * value, 0)}%"


def interval(found: Share) -> str:
    """The ends of an interval, such as "39 to 43%"."""
    return f"{100 * found.low:.0f} to {found.high:.0%}"


def lead(r: Reviewed) -> list[str]:
    """The page's main findings, a sentence each."""
    return _unlabelled(r) if r.labels is None else _labelled(r)


def gap_sentence(one: ByGroup) -> str:
    """A sentence on the gap between a column's groups; empty if they can't be compared."""
    if (gap := one.gap) is None:
        return ""
    values = {group.name: group.mean_recall for group in one.groups}
    best, worst = values[gap.best], values[gap.worst]
    assert best is not None and worst is not None
    size, low, high = (minus(fixed(100 * value)) for value in (gap.size.value, gap.size.low, gap.size.high))
    chance = f"with groups assigned at random it is as large in {share(gap.by_chance)} of cases"
    compared = [group for group in one.groups if not group.few]
    if gap.by_chance > SIGNIFICANT:
        chance += ", so it may be chance"
        if gap.size.low > 0:
            picked = f": the interval does not know that two of {len(compared)} groups were picked"
            chance += picked if len(compared) > 2 else ": with so few faces, interval and test differ"
    thin = sum(any(group.counts[k] < FEWEST_OF_CLASS for group in compared) for k in one.classes)
    if thin:
        chance += f". It rests on few faces: {thin} of the {len(one.classes)} classes compared "
        chance += f"{'have' if thin > 1 else 'has'} fewer than {FEWEST_OF_CLASS} in a group"
    return (
        f"By {one.column}, mean recall is {best.value:.1%} for {gap.best} and {worst.value:.1%} for {gap.worst}: "
        f"{size} points apart (95% interval {low} to {high}); {chance}."
    )


def _labelled(r: Reviewed) -> list[str]:
    assert r.labels is not None
    n, wrong = len(r.labels), int((r.predicted != r.labels).sum())
    if not wrong:
        return [f"All {n:,} faces are right (95% interval {interval(wilson(n, n))})."]
    found = wilson(wrong, n)
    pairs = find_pairs(r.labels, r.probs)
    most = [pair for pair in pairs if len(pair.faces) == len(pairs[0].faces)]
    said = [
        f"Of {n:,} faces {share(found.value)} are wrong ({wrong:,}; 95% interval {interval(found)}).",
        *_against_one_class(r, n - wrong),
        _most_frequent(r.classes, most),
    ]
    if len(np.unique(r.labels)) > 1 and (least := _least_often(r, None if most[1:] else most[0].true)):
        said.append(least)
    sure = int(((r.predicted != r.labels) & (r.confidence >= _SURE)).sum())
    if sure:
        are = "error is" if sure == 1 else "errors are"
        said.append(f"{sure:,} {are} made with {_SURE:.0%} confidence or more.")
    return said


def _against_one_class(r: Reviewed, right: int) -> list[str]:
    """A sentence if always saying the largest class would be right as often, or if there is only one class."""
    assert r.labels is not None
    counts = np.bincount(r.labels, minlength=len(r.classes))
    largest = int(counts.argmax())
    if counts[largest] == len(r.predicted):
        return [f"All of them are {r.classes[largest]}: of the other classes nothing is known."]
    if right > counts[largest]:
        return []
    known = share(counts[largest] / len(r.predicted))
    return [f"Always saying {r.classes[largest]} would be right as often or more often, for {known} of the faces."]


def _most_frequent(classes: Sequence[str], most: Sequence[Pair]) -> str:
    """A sentence on the most frequent pair of classes, or on those that are equally frequent."""
    first, *others = most
    if not others:
        true, predicted = classes[first.true], classes[first.predicted]
        return (
            f"{share(first.of_errors)} of all errors are {true} → {predicted}: {share(first.of_true)} of the {true} "
            f"faces are predicted as {predicted}."
        )
    faces = f"{len(first.faces):,} face{'s' * (len(first.faces) > 1)}"
    if len(most) > _NAMED:
        return f"No error stands out: the most frequent, {len(most)} pairs of classes, have {faces} each."
    names = listed([f"{classes[pair.true]} → {classes[pair.predicted]}" for pair in most])
    return f"{names} are the most frequent errors, {faces} each."


def _least_often(r: Reviewed, mentioned: int | None) -> str:
    """A sentence on the classes that are right least often, rare ones with their interval; empty if it adds nothing.

    Args:
        r: predictions with labels.
        mentioned: a class whose errors were described already, if any.
    """
    assert r.labels is not None
    counts = np.bincount(r.labels, minlength=len(r.classes))
    right = np.bincount(r.labels[r.predicted == r.labels], minlength=len(r.classes))

    def worst(of: np.ndarray) -> list[int]:
        """Those with the lowest recall, the largest first."""
        recall = right / counts.clip(1)
        lowest = [k for k in of.tolist() if recall[k] == recall[of].min()]
        return sorted(lowest, key=lambda k: -counts[k])

    def named(k: int) -> str:
        rare = f" (95% interval {interval(wilson(right[k], counts[k]))})" if counts[k] < ENOUGH_FACES else ""
        return f"{right[k]:,} of {counts[k]:,}{rare}"

    lowest, enough = worst(np.flatnonzero(counts)), np.flatnonzero(counts >= ENOUGH_FACES)
    if mentioned in lowest and counts[mentioned] >= ENOUGH_FACES:
        return ""
    named_ones = lowest if len(lowest) <= _NAMED + 1 else lowest[:_NAMED]
    more = len(lowest) - len(named_ones)
    names = listed([*(r.classes[k] for k in named_ones), *([f"{more} others"] if more else [])])
    said = f"{names} {'is' if len(lowest) == 1 else 'are'} right least often: {listed(list(map(named, named_ones)))}"
    if len(enough) >= ENOUGH_CLASSES and counts[lowest].max() < ENOUGH_FACES:
        each = [f"{r.classes[k]}: {named(k)}" for k in worst(enough)[:_NAMED]]
        said += f"; of classes with at least {ENOUGH_FACES} faces, {listed(each)}"
    return said + "."


def _unlabelled(r: Reviewed) -> list[str]:
    n, unsure = len(r.probs), float((r.confidence < _UNSURE).mean())
    of = {0.0: f"None of {n:,} faces without labels are", 1.0: f"All {n:,} faces without labels are"}
    those = of.get(unsure, f"Of {n:,} faces without labels {share(unsure)} are")
    said = [f"{those} predicted with less than {_UNSURE:.0%} confidence."]
    if r.committee is not None:
        split, cells = float(r.committee.split.mean()), f"its grid's {r.committee.cells} cells"
        differ = f"On {'all' if split == 1 else share(split) + ' of the'} faces {cells} do not all name one class."
        said.append(differ if split else f"On all faces {cells} name one class.")
    return [*said, "Start with those below: labels would help most there."]
