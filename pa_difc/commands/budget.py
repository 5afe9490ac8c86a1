"""Fits a grid into a time budget: how many epochs, over how many faces, at which crop and precision."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

from ..util.durations import duration
from ..util.errors import UserError
from ..util.names import listed
from .measuring import Pace, with_values

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..data.faces import Samples
    from ..training.settings import Settings

#: Share of the time left after reading and measuring that is planned for: drawing the figures takes time at the end,
#: and a machine's speed varies.
PLANNED = 0.65
#: The advised budget has this much slack: a machine is not always equally fast.
_SLACK = 1.2
#: Fewer steps than this teach nothing, so a budget without time for them is refused.
FEWEST_STEPS = 10
#: Fewer epochs would not begin class weights and confusion, which wait for the second half of training.
FEWEST_EPOCHS = 2
#: Small data is trained on for so many steps, if the budget allows, but at most for so many epochs. On 661 source and
#: 560 target faces, the small network's mean recall was 20 % after 115 steps, 28 to 31 % after 460, and 30 to 32 %
#: after 1,840.
MOST_STEPS, MOST_EPOCHS = 2000, 100
#: At most this share of the budget goes into predicting held-out faces, but at least this many faces per domain.
SCORING, FEWEST_SCORED = 0.2, 1000
#: If nothing can be trained, this many held-out faces of each side are scored however little time is left.
FEWEST_ALONE = 100
#: When source faces are left out, each class keeps at least this many samples, or all if it has fewer.
RARE = 50

_UNITS = {"h": 3600, "m": 60, "s": 1}


class TooShortError(UserError):
    """The budget is too short for the cells; the message names one that will do."""


@dataclass(frozen=True)
class Plan:
    """How long and on what a grid is trained; kept in a file, because a resumed run must not decide otherwise."""

    key: str  #: identifies the cells, their data and the budget
    epochs: int
    steps: int  #: per epoch; 0 if nothing is trained
    faces: int  #: training faces per domain, at most
    scored: int  #: held-out faces predicted per domain, at most
    precision: str
    input_scale: float
    seconds: list[float]  #: expected time of each cell
    crop: str = ""  #: how the crop was chosen, in a sentence without a full stop
    left_out: str = ""  #: which cells are left out and why, without a full stop; empty if none is


def read_budget(text: str) -> float:
    """A time such as "20m", "90s" or "1h30m" in seconds.

    Raises:
        UserError: the text is no such time.
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    seconds = sum(int(n) * unit for n, unit in zip(found.groups(), _UNITS.values(), strict=True) if n) if found else 0
    if not seconds:
        raise UserError(f"--budget {text!r}: must be a time such as 20m, 90s or 1h30m")
    return float(seconds)


def decide(
    methods: Sequence[str],
    pace: Pace,
    source: Domain,
    target: Domain,
    *,
    batch_size: int,
    most_epochs: int,
    budget: float,
    spent: float,
    key: str,
    jobs: int = 1,
) -> Plan:
    """Plans the longest training that fits: as many epochs as there is time for, or two over fewer faces.

    Args:
        methods: of the cells.
        pace: from :func:`measure`.
        source, target: the data.
        batch_size: faces per domain and step.
        most_epochs: upper limit on epochs, at least :data:`FEWEST_EPOCHS`; see :func:`epochs_at_most`.
        budget, spent: in seconds; ``spent`` is the part of the budget that is used up.
        key: see :class:`Plan`.
        jobs: how many cells are trained in parallel.

    Raises:
        TooShortError: the budget is too short for :data:`FEWEST_STEPS`.
    """
    n, at_a_time = len(methods), min(jobs, len(methods))

    def scored_in(budget: float) -> int:
        return max(FEWEST_SCORED, int(SCORING * budget / -(-n // at_a_time) / pace.face / 2))

    def each(steps: int, scored: int) -> list[float]:
        predicting = pace.face * sum(min(len(domain.test), scored) for domain in (source, target))
        ending = predicting + pace.end
        trained = epochs_of(steps) * pace.epoch
        return [ending + (steps * pace.step[m] + trained if m in pace.step else 0.0) for m in methods]

    def epochs_of(steps: int) -> int:
        return max(FEWEST_EPOCHS, min(most_epochs, steps // whole))

    def lasts(steps: int, scored: int) -> float:
        return makespan(each(steps, scored), at_a_time)

    def longest(budget: float) -> int:
        planned_s, scored = PLANNED * (budget - spent) - pace.start, scored_in(budget)
        return bisect_right(range(whole * most_epochs + 1), planned_s, key=lambda steps: lasts(steps, scored)) - 1

    most = max(len(source.train), len(target.train))
    scored, whole = scored_in(budget), steps_per_epoch(source, target, batch_size)
    steps = longest(budget)
    if steps < (fewest := min(FEWEST_STEPS, whole * most_epochs)):
        enough = budget
        while longest(enough) < fewest:
            enough *= 1.05
        takes = duration((lasts(fewest, scored) + pace.start) / PLANNED)
        raise TooShortError(
            f"--budget: too short; {n} cell{'s take' if n > 1 else ' takes'} at least {takes} here: give "
            f"--budget {round_budget(_SLACK * enough)}"
        )
    epochs = epochs_of(steps)
    per_epoch = min(steps // epochs, whole)
    faces = most if per_epoch == whole else per_epoch * batch_size
    seconds = each(epochs * per_epoch, scored)
    return Plan(key, epochs, per_epoch, faces, scored, pace.precision, pace.input_scale, seconds, pace.crop)


def untrained(pace: Pace, source: Domain, target: Domain, *, left: float, key: str, why: str) -> Plan:
    """The plan of as_is alone, which is made however little time is left: a model is better than none.

    Args:
        pace: from :func:`measure`.
        source, target: the data.
        left: seconds of the budget; they decide how many held-out faces are scored, at least :data:`FEWEST_ALONE`.
        key, why: see :class:`Plan`.
    """
    fitting = (PLANNED * left - pace.start - pace.end) / pace.face / 2
    scored = max(FEWEST_ALONE, int(fitting))
    faces = max(len(source.train), len(target.train))
    ends = pace.end + pace.face * sum(min(len(domain.test), scored) for domain in (source, target))
    shape = pace.precision, pace.input_scale
    return Plan(key, FEWEST_EPOCHS, 0, faces, scored, *shape, [ends], pace.crop, why)


def steps_per_epoch(source: Domain, target: Domain, batch_size: int) -> int:
    """Steps in a pass over the larger domain."""
    return -(-max(len(source.train), len(target.train)) // batch_size)


def epochs_at_most(enough: int, steps: int) -> int:
    """How many epochs are worth their time.

    Args:
        enough: epochs that are enough if each has hundreds of steps.
        steps: per epoch; if they are few, the limit is on the steps of the whole training.
    """
    return max(enough, min(MOST_EPOCHS, ceil(MOST_STEPS / steps)))


def round_budget(seconds: float) -> str:
    """A budget of at least so many seconds, rounded up: "90s", "4m" or "35m"."""
    if seconds <= 120:
        return f"{10 * ceil(seconds / 10)}s"
    minutes = ceil(seconds / 60)
    return f"{minutes if minutes <= 10 else 5 * ceil(minutes / 5)}m"


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """Seconds that cells take on parallel workers, of which each free one takes the next cell."""
    workers = [0.0] * jobs
    for one in seconds:
        workers[workers.index(min(workers))] += one
    return max(workers)


def describe(plan: Plan, source: Domain, target: Domain, most_epochs: int, jobs: int = 1) -> str:
    """A plan in one line; says if ``most_epochs`` rather than the budget limits it."""

    def most(split: str) -> int:
        return max(len(getattr(domain, split)) for domain in (source, target))

    n, passes = len(plan.seconds), f"{plan.epochs} epoch{'s' * (plan.epochs > 1)} of {plan.steps:,} steps"
    passes += ", the most that adapt trains" * (plan.epochs == most_epochs)
    passes = passes if plan.steps else "without training"
    some = f", with about {plan.faces:,} training faces of each side" * (plan.faces < most("train"))
    some += f", judged by about {plan.scored:,} held-out ones" * (plan.scored < most("test"))
    at_a_time = f", {min(jobs, n)} cells at a time" if min(jobs, n) > 1 else ""
    crop = f"; faces at {plan.input_scale:g} of their size" * (plan.input_scale != 1)
    return (
        f"decided: {n} cell{'s' * (n > 1)}, {passes}{some}; {plan.precision}{crop}; about "
        f"{duration(makespan(plan.seconds, jobs))} from here{at_a_time}"
    )


def planned(cells: Sequence[Settings], plan: Plan) -> list[Settings]:
    """The cells with the plan's epochs, precision and crop, resolved."""
    values = {"run.epochs": plan.epochs, "model.precision": plan.precision, "model.input_scale": plan.input_scale}
    return [with_values(cell, **values) for cell in cells]


def fewer_faces(domain: Domain, plan: Plan, *, by_label: bool) -> Domain:
    """A domain reduced to the planned number of faces; by label, rare classes may exceed their share.

    Args:
        domain: the data.
        plan: has the numbers of faces.
        by_label: read the labels, to keep the class proportions and at least :data:`RARE` faces of each class.
    """
    classes = range(len(domain.label_set)) if by_label else None
    train, test = _some(domain.train, plan.faces, classes), _some(domain.test, plan.scored, classes)
    if train is domain.train and test is domain.test:
        return domain
    whole = {"train": len(domain.train), "test": len(domain.test)}
    return replace(domain, train=train, test=test, part_of=whole)


def used_in_part(domains: Iterable[Domain]) -> str:
    """A sentence without a full stop on the faces that a plan leaves out; empty if it leaves out none."""
    parts = [
        f"{len(faces):,} of the {domain.part_of[split]:,} {what} faces of {domain.name}"
        for domain in domains
        if domain.part_of
        for split, what, faces in (("train", "training", domain.train), ("test", "test", domain.test))
        if len(faces) < domain.part_of[split]
    ]
    return f"For lack of time it used only {listed(parts)}" if parts else ""


def _some(faces: Samples, number: int, classes: Iterable[int] | None) -> Samples:
    """At most ``number`` faces, evenly spaced; each class gets its share if classes are given."""
    import numpy as np

    from ..data.faces import evenly
    from ..util.spacing import evenly_spaced

    if classes is None or len(faces) <= number:
        return evenly(faces, number)
    kept = []
    for k in classes:
        group = np.flatnonzero(faces.labels == k)
        quota = min(len(group), max(RARE, round(number * len(group) / len(faces))))
        kept.append(group[evenly_spaced(len(group), quota)])
    return faces.take(np.sort(np.concatenate(kept)))
