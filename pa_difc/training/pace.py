"""How long steps and predictions take here and now: what a plan for a given time is made from."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from ..data.domains import Domain
from ..data.loaders import PairLoader
from ..data.shared import share, shared
from ..methods.slot import LossSlot
from ..util.errors import UserError
from ..util.registry import load_plugin, loaded_plugins
from .build import make_adapter, make_loader
from .cores import THREADS, worker_process
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


@dataclass(frozen=True)
class SideBySide:
    """What was measured in several workers at a time.

    Attributes:
        steps: seconds of a step of each cell, mean over workers; None where a worker could not make it.
        face: seconds of a prediction.
        start: seconds until the last worker was ready.
    """

    steps: list[float | None]
    face: float
    start: float


def measure_side_by_side(cells: Sequence[Settings], source: Domain, target: Domain, jobs: int) -> SideBySide:
    """What steps and predictions take while as many workers as are going to be there do the same.

    Each worker begins with another cell, so that cheap and expensive steps meet as they do in a grid.

    Args:
        cells: resolved, of methods that train; faces are predicted by the first.
        source, target: the data.
        jobs: the number of workers.
    """
    with tempfile.TemporaryDirectory(prefix="pa_difc-") as folder:
        task = partial(_measured, share((source, target), Path(folder) / "pair"), list(cells), loaded_plugins())
        began = time.time()
        # One process each, or a quick one would take two of the tasks.
        pools = [worker_process() for _ in range(jobs)]
        try:
            found = [f.result() for f in [pool.submit(task, i) for i, pool in enumerate(pools)]]
        finally:
            for pool in pools:
                pool.shutdown(kill_workers=True)
    steps = [[worker.steps[i] for worker in found] for i in range(len(cells))]
    return SideBySide(
        [mean(several) if None not in several else None for several in steps],  # type: ignore[type-var]
        mean(worker.face for worker in found),
        max(worker.start for worker in found) - began,
    )


def _measured(pair: Path, cells: Sequence[Settings], plugins: Sequence[Path], first: int) -> SideBySide:
    """What one worker measures; its start is the time of day when it was ready."""
    torch.set_num_threads(THREADS)
    with contextlib.redirect_stdout(io.StringIO()):
        for plugin in plugins:
            load_plugin(plugin)
    source, target = shared(pair)
    start = time.time()
    steps: list[float | None] = [None] * len(cells)
    for i in ((first + k) % len(cells) for k in range(len(cells))):
        with contextlib.suppress(UserError):  # said when the cell is trained
            steps[i] = step_seconds(cells[i], source, target)
    return SideBySide(steps, prediction_seconds(cells[0], source, target), start)


def quiet_adapter(settings: Settings, source: Domain, steps: int) -> LossSlot:
    """The method on its device; what is reported of its weights is reported again when it is trained."""
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
