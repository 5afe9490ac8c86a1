"""How long steps and predictions take here and now: what a plan for a given time is made from."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np

from ..data.domains import Domain
from ..data.loaders import PairLoader
from ..methods.slot import LossSlot
from .build import make_adapter, make_loader
from .other import predicted
from .settings import Settings

#: Steps that are timed, after one that is not: the first one makes buffers and chooses kernels.
TIMED_STEPS = 2
#: Faces whose prediction is timed.
_TIMED_FACES = 128


def step_seconds(settings: Settings, source: Domain, target: Domain) -> float:
    """Seconds of a training step of resolved settings with what it loads, mean over a few.

    Args:
        settings: of a method that trains.
        source, target: the data.

    Raises:
        UserError: the method can't be made so.
    """
    loader = make_loader(settings, source, target)
    adapter = quiet_adapter(settings, source, len(loader))
    adapter.models.train()
    batches = _batches(adapter, loader)
    adapter.training_step(next(batches))
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        adapter.training_step(next(batches))
    return (time.perf_counter() - started) / TIMED_STEPS


def prediction_seconds(settings: Settings, source: Domain, target: Domain) -> float:
    """Seconds that the prediction of a face takes, in all views of resolved settings and with all that predicts it."""
    adapter = quiet_adapter(settings, source, 1)
    faces = target.test.take(np.arange(min(len(target.test), _TIMED_FACES)))
    predicted(adapter, faces.take(np.arange(min(len(faces), 8))), settings)
    started = time.perf_counter()
    predicted(adapter, faces, settings)
    return (time.perf_counter() - started) / len(faces)


def quiet_adapter(settings: Settings, source: Domain, steps: int) -> LossSlot:
    """The method on its device; what is said of its weights is said again when it is trained."""
    with contextlib.redirect_stdout(io.StringIO()):
        adapter = make_adapter(settings, source, steps)
    adapter.models.to(settings.run.device)
    return adapter


def _batches(adapter: LossSlot, loader: PairLoader) -> Iterator[dict[str, Any]]:
    for epoch in count():
        yield from loader.epoch(
            epoch,
            source_images=adapter.uses_source,
            target_images=adapter.reads_target,
            strong=adapter.reads_strong_views,
            draws=adapter.reads_draws,
        )
