"""Measures how fast this machine trains and predicts the cells of ``pa-difc adapt``, to plan for a given time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..util.errors import UserError

if TYPE_CHECKING:
    from ..data.domains import Domain
    from ..training.settings import Settings

#: The crop is chosen on as many unlabelled faces as this share of the budget has time for, within these limits.
_CROP_SHARE, _CROP_FACES = 0.05, (100, 1500)


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


def measure(
    cells: Sequence[Settings],
    source: Domain,
    target: Domain,
    *,
    budget: float,
    precisions: Sequence[str],
    scales: Sequence[float],
    jobs: int = 1,
) -> Pace:
    """Times a few throwaway training steps of each cell, and chooses precision and crop.

    If several cells will be trained in parallel, they are timed in parallel: cores that share memory and cooling are
    slower than one alone.

    Args:
        cells: resolved; the first one is as_is if there is a choice of crops.
        source, target: the data.
        budget: in seconds; decides on how many unlabelled faces the crop is chosen.
        precisions, scales: the candidates.
        jobs: how many cells will be trained in parallel.

    Raises:
        UserError: source_only (or, without a source, the first trained cell) can't be built. For other cells this is
            reported when they are trained.
    """
    from ..methods import METHODS
    from ..training.pace import ends_seconds, prediction_seconds, step_seconds

    print("measuring the speed of this machine …", flush=True)
    trained = [cell for cell in cells if METHODS.lookup(cell.method.name).trains]
    usual = next((cell for cell in trained if cell.method.name == "source_only"), trained[0])
    precision = precisions[0]
    if len(precisions) > 1:
        precision = min(precisions, key=lambda p: step_seconds(with_values(usual, precision=p), source, target))
    face = prediction_seconds(with_values(usual, precision=precision), source, target)
    scale = scales[0]
    if len(scales) > 1:
        low, high = _CROP_FACES
        faces = min(high, max(low, int(_CROP_SHARE * budget / len(scales) / face)))
        scale = _choose_scale(with_values(cells[0], precision=precision), target, scales, faces)
    usual, *others = (with_values(cell, precision=precision, input_scale=scale) for cell in (usual, *trained))
    if jobs > 1:
        return _measured_by(jobs, usual, others, source, target)
    step: dict[str, float] = {usual.method.name: step_seconds(usual, source, target)}
    for cell in others:
        with suppress(UserError):  # such as a source without a class that the loss needs: reported in training
            step[cell.method.name] = step.get(cell.method.name) or step_seconds(cell, source, target)
    return Pace(precision, scale, step, face, 0.0, *ends_seconds(usual, source, target))


def _measured_by(jobs: int, usual: Settings, others: Sequence[Settings], source: Domain, target: Domain) -> Pace:
    """The pace of several workers in parallel; if none could build the ``usual`` cell, raises why."""
    from ..training.pace import measure_side_by_side, step_seconds

    cells = [usual, *(cell for cell in others if cell.method.name != usual.method.name)]  # the first one predicts
    found = measure_side_by_side(cells, source, target, jobs)
    step = {cell.method.name: seconds for cell, seconds in zip(cells, found.steps, strict=True) if seconds is not None}
    if usual.method.name not in step:
        step_seconds(usual, source, target)
    rest = found.face, found.start, found.epoch, found.end
    return Pace(usual.model.precision, float(usual.model.input_scale or 1), step, *rest)


def _choose_scale(settings: Settings, target: Domain, scales: Sequence[float], number: int) -> float:
    """The crop that suits the pretrained classifier best on ``number`` target faces; reads no label."""
    import numpy as np

    from ..data.loaders import EvalLoader
    from ..evaluation.crop_choice import choose_crop
    from ..training.pace import quiet_adapter

    faces = target.train
    faces = faces.take(np.linspace(0, len(faces) - 1, min(len(faces), number)).astype(np.int64))
    adapter = quiet_adapter(settings, target, 1)
    return choose_crop(adapter, EvalLoader(faces, batch_size=64, device=settings.run.device), scales).chosen.scale


def with_values(settings: Settings, **values: Any) -> Settings:
    """Settings with some values changed, resolved."""
    from ..training.resolve import resolve

    return resolve(settings.but(**values))
