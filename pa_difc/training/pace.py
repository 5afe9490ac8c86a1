"""Measures how long steps and predictions take on this machine, to plan for a given time."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf, isinf
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from ..data.domains import Domain
from ..data.loaders import PairLoader
from ..data.sampling import SAMPLERS
from ..data.shared import share, shared
from ..evaluation.metrics import score
from ..evaluation.quality import MOST_SAMPLES, feature_quality
from ..methods.slot import LossSlot
from ..util import clock
from ..util.errors import UserError
from ..util.registry import load_plugin, loaded_plugins
from .build import make_adapter, make_loader
from .checkpoint import save_checkpoint
from .other import predicted
from .ready import THREADS, worker_process
from .settings import Settings

#: Number of timed steps, after an untimed one that allocates buffers and chooses kernels.
TIMED_STEPS = 2
#: Number of faces whose prediction is timed.
_TIMED_FACES = 128


def step_seconds(settings: Settings, source: Domain, target: Domain, until: float = inf) -> float:
    """Seconds of a training step including data loading, averaged over a few.

    Args:
        settings: resolved, of a method that trains.
        source, target: the data.
        until: the :func:`.clock.now` at which no further step begins. If the first one ends later, its time counts,
            which includes that of buffers and kernels: the estimate is too long rather than too short.

    Raises:
        UserError: the method can't be made with these settings.
    """
    loader = make_loader(settings, source, target)
    adapter = quiet_adapter(settings, source, len(loader))
    adapter.models.train()
    batches = _batches(adapter, loader)
    ends = [time.perf_counter()]
    while len(ends) < 2 or (len(ends) < 2 + TIMED_STEPS and clock.now() < until):
        adapter.training_step(next(batches))
        ends.append(time.perf_counter())
    timed = ends[1:] if len(ends) > 2 else ends
    return (timed[-1] - timed[0]) / (len(timed) - 1)


def prediction_seconds(settings: Settings, source: Domain, target: Domain) -> float:
    """Seconds to predict a face, with all its views and the product's model."""
    adapter = quiet_adapter(settings, source, 1)
    faces = target.test.take(np.arange(min(len(target.test), _TIMED_FACES)))
    predicted(adapter, faces.take(np.arange(min(len(faces), 8))), settings)
    started = time.perf_counter()
    predicted(adapter, faces, settings)
    return (time.perf_counter() - started) / len(faces)


def ends_seconds(settings: Settings, source: Domain, target: Domain) -> tuple[float, float]:
    """Seconds at the end of an epoch, for its checkpoint, and at the end of a run, for its scores.

    The latter include the imports for them, unless this process has made them, but not the predictions of the end.
    """
    loader = make_loader(settings, source, target)
    adapter = quiet_adapter(settings, source, len(loader))
    adapter.models.train()
    adapter.training_step(next(_batches(adapter, loader)))  # allocates the optimisers' state
    with tempfile.TemporaryDirectory(prefix="pa_difc-") as folder:
        started = time.perf_counter()
        save_checkpoint(Path(folder) / "checkpoint.pt", adapter, key="", epoch=1, history=[])
        epoch = time.perf_counter() - started
    if predicts_each_epoch(settings):
        epoch += prediction_seconds(settings, source, target) * len(target.train)
    few = target.train.take(np.arange(min(len(target.train), 8)))
    width, classes = predicted(adapter, few, settings).features.shape[1], len(source.label_set)
    random, number = np.random.default_rng(0), min(len(target.test), MOST_SAMPLES)
    labels, probs = random.integers(classes, size=number), random.dirichlet(np.ones(classes), size=number)
    features = torch.from_numpy(random.standard_normal((number, width), dtype=np.float32))
    started = time.perf_counter()
    score(labels, probs)
    feature_quality(features, labels)
    return epoch, 2 * (time.perf_counter() - started)


def predicts_each_epoch(settings: Settings) -> bool:
    """Whether epochs begin with predictions of the target's training faces, for a sampler or the loss."""
    by = SAMPLERS.lookup(settings.data.target_sampler).by
    return by == "predictions" or settings.loss.options.get("confusion_from") == "evaluation"


@dataclass(frozen=True)
class SideBySide:
    """Measurements in several workers in parallel.

    Attributes:
        steps: seconds of a step of each cell, averaged over workers; None if there was no time to measure it.
        face: seconds to predict a face.
        start: seconds until the last worker was ready.
        epoch: seconds at the end of an epoch; see :func:`ends_seconds`.
        end: seconds at the end of a run.
        refused: the cells whose method a worker could not make, by their places; their steps are None.
    """

    steps: list[float | None]
    face: float
    start: float
    epoch: float = 0.0
    end: float = 0.0
    refused: frozenset[int] = frozenset()


def measure_side_by_side(
    cells: Sequence[Settings], source: Domain, target: Domain, jobs: int, until: float = inf
) -> SideBySide | None:
    """Measures steps and predictions while the planned number of workers run in parallel.

    Each worker starts with another cell, so that cheap and expensive steps overlap as in a grid.

    Args:
        cells: resolved settings of methods that train; the first one predicts.
        source, target: the data.
        jobs: the number of workers.
        until: the :func:`.clock.now` at which workers begin no other cell. They may take half as long again to finish
            what they began, and are killed then.

    Returns:
        The measurements of the workers that finished; None if none did.
    """
    with tempfile.TemporaryDirectory(prefix="pa_difc-") as folder:
        began = clock.now()
        task = partial(_measured, share((source, target), Path(folder) / "pair"), list(cells), loaded_plugins(), until)
        # One pool per process; in a common pool, a quick worker could take two tasks.
        pools = [worker_process() for _ in range(jobs)]
        try:
            futures = [pool.submit(task, i) for i, pool in enumerate(pools)]
            done, _ = wait(futures, None if isinf(until) else max(0.0, until - began) * 1.5)
            found = [future.result() for future in futures if future in done]
        finally:
            for pool in pools:
                pool.shutdown(kill_workers=True)
    if not found:
        return None
    refused = frozenset().union(*(worker.refused for worker in found))
    timed = [[s for worker in found if (s := worker.steps[i]) is not None] for i in range(len(cells))]
    return SideBySide(
        [mean(several) if several and i not in refused else None for i, several in enumerate(timed)],
        mean(worker.face for worker in found),
        max(worker.start for worker in found) - began,
        max(worker.epoch for worker in found),
        max(worker.end for worker in found),
        refused,
    )


def _measured(pair: Path, cells: Sequence[Settings], plugins: Sequence[Path], until: float, first: int) -> SideBySide:
    """Measures in one worker; its ``start`` is the :func:`.clock.now` when it was ready.

    What every cell needs comes first, so that it is known if there is no time for all cells.
    """
    torch.set_num_threads(THREADS)
    with contextlib.redirect_stdout(io.StringIO()):
        for plugin in plugins:
            load_plugin(plugin)
    source, target = shared(pair)
    start = clock.now()
    face, ends = prediction_seconds(cells[0], source, target), (0.0, 0.0)
    with contextlib.suppress(UserError):
        ends = ends_seconds(cells[0], source, target)
    steps, refused = list[float | None]([None] * len(cells)), set[int]()
    for i in ((first + k) % len(cells) for k in range(len(cells))):
        if clock.now() >= until:
            break
        try:
            steps[i] = step_seconds(cells[i], source, target, until)
        except UserError:  # reported when the cell is trained
            refused.add(i)
    return SideBySide(steps, face, start, *ends, frozenset(refused))


def quiet_adapter(settings: Settings, source: Domain, steps: int) -> LossSlot:
    """Makes the method on its device without printing reports on weights; training prints them."""
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
