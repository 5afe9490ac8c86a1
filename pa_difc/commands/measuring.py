"""Measures how fast this machine trains and predicts the cells of ``pa-difc adapt``, to plan for a given time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..util import clock
from ..util.durations import duration
from ..util.errors import UserError
from .adapt_crop import Crop

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..training.settings import Settings

#: Measuring begins nothing new once it has taken this share of the time that was left; workers that have begun may take
#: half as long again.
MEASURING = 0.2
#: The crop is chosen on as many faces as this share of the budget has time for, at most so many of each side; the
#: unchanged one is kept if there is time for fewer than so many.
_CROP_SHARE, _CROP_FACES = 0.05, (100, 1500)
#: The step of a cell that was not measured is planned at so many times that of source_only: mcd's has six passes, those
#: of the other methods take 2 to 3 times as long (docs/methods.md).
_UNMEASURED, _UNMEASURED_MCD = 3.0, 6.0
#: Without a measurement, in steps of source_only: the end of an epoch, and the end of a cell.
_EPOCH, _END = 1.0, 10.0


@dataclass(frozen=True)
class Pace:
    """The measured speed of this machine, and the precision and crop to train with."""

    precision: str  #: the fastest one
    input_scale: float  #: the crop that suits the pretrained classifier best
    step: dict[str, float]  #: seconds per training step, by method
    face: float  #: seconds per predicted face
    start: float = 0.0  #: seconds until workers are ready
    epoch: float = 0.0  #: seconds at the end of an epoch, for its checkpoint and what else is done once
    end: float = 0.0  #: seconds at the end of a cell, for its scores, without its predictions
    crop: str = ""  #: how the crop was chosen, in a sentence without a full stop


def measure(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    *,
    budget: float,
    precisions: Sequence[str],
    scales: Sequence[float],
    jobs: int = 1,
    spent: float = 0.0,
) -> Pace:
    """Times a few throwaway training steps of each cell, and chooses precision and crop, in a share of the budget.

    If several cells will be trained in parallel, they are timed in parallel: cores that share memory and cooling are
    slower than one alone. What there is no time to measure is assumed to be slow.

    Args:
        cells: resolved; the first one is as_is if there is a choice of crops.
        source, target: the data.
        budget, spent: in seconds; ``spent`` is the part of the budget that is used up.
        precisions, scales: the candidates; the first precision is kept if there is no time to compare.
        jobs: how many cells will be trained in parallel.

    Raises:
        UserError: source_only (or, without a source, the first trained cell) can't be built. For other cells this is
            reported when they are trained.
    """
    from ..methods import METHODS
    from ..training.pace import prediction_seconds, step_seconds

    limit = MEASURING * max(0.0, budget - spent)
    until = clock.now() + limit
    print(f"measuring the speed of this machine, for {duration(limit)} or a little longer …", flush=True)
    trained = [cell for cell in cells if METHODS.lookup(cell.method.name).trains]
    usual = next((cell for cell in trained if cell.method.name == "source_only"), trained[0])
    paces: dict[str, float] = {}
    for precision in precisions:
        if not paces or (len(precisions) > 1 and clock.now() < until - limit / 2):
            paces[precision] = step_seconds(with_values(usual, precision=precision), source, target, until - limit / 2)
    precision = min(paces, key=lambda p: paces[p])
    print(f"  {precision}: {paces[precision]:.2f} s a step of {usual.method.name}", flush=True)
    face = prediction_seconds(with_values(usual, precision=precision), source, target)
    crop = Crop(scales[0])
    if len(scales) > 1:
        seconds = min(_CROP_SHARE * budget, (until - clock.now()) / 3)
        number = round(seconds / len(scales) / face)
        crop = _crop(with_values(cells[0], precision=precision), source, target, scales, number, until)
    usual, *others = (with_values(cell, precision=precision, input_scale=crop.scale) for cell in (usual, *trained))
    by = (lambda *a: _by_workers(jobs, *a)) if jobs > 1 else _alone
    print(f"  timing {len(trained)} cell{'s' * (len(trained) > 1)} …", flush=True)
    found = by(usual, others, source, target, until, paces[precision])
    return replace(found, crop=crop.about, face=found.face or face)


def _crop(
    settings: Settings, source: Domain, target: Domain, scales: Sequence[float], number: int, until: float
) -> Crop:
    """The crop, compared on ``number`` faces of each side; the unchanged one if these are too few."""
    from .adapt_crop import choose_crop

    low, high = _CROP_FACES
    if number < low:
        about = "Crop: faces as they are; there was too little time to compare others"
        print(f"  {about}", flush=True)
        return Crop(1.0, about)
    print("  crops, compared without target labels …", flush=True)
    return choose_crop(settings, source, target, scales, min(high, number), until)


def _alone(
    usual: Settings, others: Sequence[Settings], source: Domain, target: Domain, until: float, step: float
) -> Pace:
    """The pace of cells that this process trains, one after the other; ``step`` is that of ``usual``."""
    from ..training.pace import ends_seconds, step_seconds

    steps: dict[str, float] = {usual.method.name: step}
    ends = ends_seconds(usual, source, target) if clock.now() < until else (_EPOCH * step, _END * step)
    for cell in others:
        name = cell.method.name
        if name not in steps and clock.now() >= until:
            steps[name] = _unmeasured(name, steps, step)
        elif name not in steps:
            with suppress(UserError):  # such as a source without a class that the loss needs: reported in training
                steps[name] = step_seconds(cell, source, target, until)
    return Pace(usual.model.precision, float(usual.model.input_scale or 1), steps, 0.0, 0.0, *ends)


def _by_workers(
    jobs: int,
    usual: Settings,
    others: Sequence[Settings],
    source: Domain,
    target: Domain,
    until: float,
    step: float,
) -> Pace:
    """The pace of several workers in parallel; ``step`` is that of ``usual`` in this process, with no worker beside it.

    Raises:
        UserError: none could build the ``usual`` cell.
    """
    from ..training.pace import measure_side_by_side, step_seconds

    cells = [usual, *(cell for cell in others if cell.method.name != usual.method.name)]  # the first one predicts
    began = clock.now()
    found = measure_side_by_side(cells, source, target, jobs, until)
    shape = usual.model.precision, float(usual.model.input_scale or 1)
    if found is None:  # no worker was ready in time
        slow = _UNMEASURED * step
        every = {cell.method.name: _unmeasured(cell.method.name, {}, step) for cell in cells}
        return Pace(*shape, every, 0.0, clock.now() - began, _EPOCH * slow, _END * slow)
    if 0 in found.refused:
        step_seconds(usual, source, target)
    step = found.steps[0] or step
    timed = {cell.method.name: s for cell, s in zip(cells, found.steps, strict=True) if s is not None}
    for i, cell in enumerate(cells):
        if cell.method.name not in timed and i not in found.refused:
            timed[cell.method.name] = _unmeasured(cell.method.name, timed, step)
    return Pace(*shape, timed, found.face, found.start, found.epoch, found.end)


def _unmeasured(method: str, steps: dict[str, float], usual: float) -> float:
    """What a method's step is assumed to take that there was no time to measure: no less than any that was."""
    return max([(_UNMEASURED_MCD if method == "mcd" else _UNMEASURED) * usual, *steps.values()])


def with_values(settings: Settings, **values: Any) -> Settings:
    """Settings with some values changed, resolved."""
    from ..training.resolve import resolve

    return resolve(settings.but(**values))
