"""A grid that fits into a given time: how many epochs, over how many faces, at which crop and precision."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError
from ..util.shapes import COUNT, NUMBER, TEXT, mismatch
from .grid import duration

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..data.faces import Samples
    from ..training.settings import Settings

#: Of the time that is left after reading and measuring, this share is planned: machines are not always equally fast.
PLANNED = 0.75
#: Fewer steps than this teach nothing, and a budget that has no time for them is refused.
FEWEST_STEPS = 10
#: Of a rare class of the source so many samples stay when others are left out.
RARE = 50
#: Unlabelled faces that the crop is chosen by.
_CROP_FACES = 400

_UNITS = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Plan:
    """What was decided, and kept: a run that goes on must not decide otherwise."""

    key: str  #: hash of what it was decided for
    epochs: int
    steps: int  #: of an epoch
    faces: int  #: training faces of a domain, at most
    precision: str
    input_scale: float
    seconds: list[float]  #: that each cell is expected to take


def read_budget(text: str) -> float:
    """Seconds of a time such as "20m", "90s" or "1h30m".

    Raises:
        UserError: it is none.
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    seconds = sum(int(n) * unit for n, unit in zip(found.groups(), _UNITS.values(), strict=True) if n) if found else 0
    if not seconds:
        raise UserError(f"--budget {text!r}: must be a time such as 20m, 90s or 1h30m")
    return float(seconds)


def make_plan(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    *,
    budget: float,
    most_epochs: int,
    key: str,
    choices: dict[str, list[Any]],
    started: float,
) -> Plan:
    """Measures steps and predictions, and decides.

    Args:
        cells: resolved; the last one is that of most steps.
        source, target: the data.
        budget: in seconds, from ``started`` on.
        most_epochs: more teach nothing.
        key: see :class:`Plan`.
        choices: "precision": those that the faster one is taken of; "input_scale": those to choose among.
        started: of :func:`time.perf_counter`.

    Raises:
        UserError: there is no time for it, or a cell can't be made.
    """
    from ..methods import METHODS
    from ..training.pace import prediction_seconds, step_seconds

    print("measuring how fast this is here …", flush=True)
    trained = [cell for cell in cells if METHODS.lookup(cell.method.name).trains]
    usual = next(cell for cell in trained if cell.method.name == "source_only")
    pace = {p: step_seconds(_with(usual, precision=p), source, target) for p in choices["precision"]}
    precision = min(pace, key=lambda p: pace[p])
    scale = _choose_scale(_with(cells[0], precision=precision), target, choices["input_scale"])
    cells = [_with(cell, precision=precision, input_scale=scale) for cell in cells]
    step = {cell.method.name: step_seconds(cell, source, target) for cell in cells if cell in _trained(cells)}
    predicting = prediction_seconds(cells[0], source, target) * (len(source.test) + len(target.test))
    left = PLANNED * (budget - (time.perf_counter() - started)) - len(cells) * predicting
    batch = cells[0].data.batch_size
    most = max(len(source.train), len(target.train))
    steps, whole = int(left / sum(step.values())), -(-most // batch)
    if steps < min(FEWEST_STEPS, whole):
        needed = (min(FEWEST_STEPS, whole) * sum(step.values()) + len(cells) * predicting) / PLANNED
        spent = time.perf_counter() - started
        raise UserError(
            f"--budget: too short; reading and measuring took {duration(spent)}, and training and scoring "
            f"{len(cells)} cells take at least {duration(needed)} here"
        )
    epochs, faces = (min(most_epochs, steps // whole), most) if steps >= whole else (1, steps * batch)
    per_epoch = min(steps, whole)
    seconds = [predicting + epochs * per_epoch * step.get(cell.method.name, 0.0) for cell in cells]
    return Plan(key, epochs, per_epoch, faces, precision, scale, seconds)


def describe(plan: Plan, source: Domain, target: Domain) -> str:
    """What was decided, in a line or two."""
    passes = f"{plan.epochs} epoch{'s' * (plan.epochs > 1)} of {plan.steps:,} steps"
    left_out = max(len(source.train), len(target.train)) > plan.faces
    some = f", with at most {plan.faces:,} training faces of each side: more do not fit into the budget" * left_out
    crop = f"; faces at {plan.input_scale:g} of their size" * (plan.input_scale != 1)
    return (
        f"decided: {len(plan.seconds)} cells, {passes}{some}; {plan.precision}{crop}; about "
        f"{duration(sum(plan.seconds))} in all"
    )


def planned(cells: Sequence[Settings], plan: Plan) -> list[Settings]:
    """The cells as they were planned, resolved."""
    values = {"run.epochs": plan.epochs, "model.precision": plan.precision, "model.input_scale": plan.input_scale}
    return [_with(cell, **values) for cell in cells]


def fewer_faces(domain: Domain, number: int, *, by_label: bool) -> Domain:
    """A domain with at most so many training faces.

    Args:
        domain: the data.
        number: of training faces, but for rare classes.
        by_label: whether labels may be looked at, to keep the proportions of classes and rare classes whole.
    """
    import numpy as np

    train: Samples = domain.train
    if len(train) <= number:
        return domain
    if not by_label:
        return replace(domain, train=train.take(np.linspace(0, len(train) - 1, number).astype(np.int64)))
    kept = []
    for k in range(len(domain.label_set)):
        there = np.flatnonzero(train.labels == k)
        quota = min(len(there), max(RARE, round(number * len(there) / len(train))))
        kept.append(there[np.linspace(0, len(there) - 1, quota).astype(np.int64)])
    return replace(domain, train=train.take(np.sort(np.concatenate(kept))))


def read_plan(path: Path, key: str) -> Plan | None:
    """The plan that a run before has left, if it was made for the same.

    Raises:
        UserError: the file is damaged.
    """
    from ..util.files import read_json

    if not path.exists():
        return None
    found = read_json(path)
    shape: dict[str, Any] = {"key": TEXT, "epochs": COUNT, "steps": COUNT, "faces": COUNT, "precision": TEXT}
    if problem := mismatch(found, shape | {"input_scale": NUMBER, "seconds": [NUMBER]}):
        raise UserError(f"{path} is not whole ({problem}); remove it to have it made anew")
    return Plan(**found) if found["key"] == key else None


def write_plan(path: Path, plan: Plan) -> None:
    """Keeps a plan.

    Raises:
        UserError: the file can't be written.
    """
    from ..util.files import write_sealed

    write_sealed(path, asdict(plan))


def _choose_scale(settings: Settings, target: Domain, scales: Sequence[float]) -> float:
    """The crop at which the pretrained classifier is most at home on the target; no label is read."""
    if len(scales) == 1:
        return scales[0]
    import numpy as np

    from ..data.loaders import EvalLoader
    from ..evaluation.crop_choice import choose_crop
    from ..training.pace import quiet_adapter

    faces = target.train
    faces = faces.take(np.linspace(0, len(faces) - 1, min(len(faces), _CROP_FACES)).astype(np.int64))
    adapter = quiet_adapter(settings, target, 1)
    return choose_crop(adapter, EvalLoader(faces, batch_size=64, device=settings.run.device), scales).chosen.scale


def _trained(cells: Sequence[Settings]) -> list[Settings]:
    from ..methods import METHODS

    return [cell for cell in cells if METHODS.lookup(cell.method.name).trains]


def _with(settings: Settings, **values: Any) -> Settings:
    from ..training.resolve import resolve

    return resolve(settings.but(**values))
