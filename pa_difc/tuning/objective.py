"""One trial: trains a candidate, and keeps what selection needs. No target label is reachable from here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from ..data.domains import Domain
from ..data.faces import FaceSet
from ..evaluation import CRITERIA
from ..evaluation.criteria import Evidence
from ..methods.slot import LossSlot
from ..training.build import make_adapter, make_loader
from ..training.engine import fit
from ..training.other import predicted
from ..training.record import RunFolder
from ..training.settings import Settings
from ..util.bars import tqdm
from ..util.errors import DivergedError
from ..util.interrupts import deferred, interruptible
from ..util.spacing import evenly_spaced
from .space import Space, candidate, suggest

Array = np.ndarray[Any, Any]

#: Called after each epoch of a trial, with the method and the history so far.
Report = Callable[[LossSlot, list[dict[str, Any]]], None]

#: Makes a progress bar.
Bar = Callable[..., tqdm]

#: Most target samples, evenly spaced, whose probabilities a trial keeps.
KEPT_SAMPLES = 2000


@dataclass(frozen=True)
class Task:
    """The common data of a study's trials. All target labels are -1, by :func:`blind`."""

    settings: Settings
    source: Domain
    target: Domain
    out: Path
    criterion: str  #: the key of CRITERIA to maximise
    prune: bool = False  #: whether trials report after each epoch, and may be stopped early
    source_floor: float = 0.0  #: lower bound on mean recall on held-out source faces


def blind(target: Domain) -> Domain:
    """Removes a target's labels, so that training, criteria, run folders and hashes can't depend on them."""
    train, test = target.train, target.test
    assert isinstance(train, FaceSet) and isinstance(test, FaceSet)
    return replace(target, train=train.without_labels(), test=test.without_labels())


class Objective:
    """The function that a study maximises: a criterion on the unlabelled target's training set.

    Args:
        task: the trials' common data.
        space: the searched space.
        title: makes a trial's title for the progress bar.
        progress: how progress is shown; see :func:`pa_difc.training.engine.fit`.
    """

    def __init__(
        self, task: Task, space: Space, title: Callable[[optuna.Trial], str], progress: Bar | bool = True
    ) -> None:
        self.task, self.space, self.title, self.progress = task, space, title, progress

    def __call__(self, trial: optuna.Trial, check: Callable[[], None]) -> float:
        settings = candidate(self.task.settings, suggest(trial, self.space, self.task.settings))
        title = self.title(trial)
        try:
            with interruptible():
                report = self._report(settings, trial, check)
                adapter, seconds = train(settings, self.task, title, report, self.progress)
                evidence = show(adapter, self.task, settings.run.device)
                test = predicted(adapter, self.task.target.test, settings).probs
        except DivergedError as error:
            trial.set_user_attr("diverged", str(error))
            raise optuna.TrialPruned(str(error)) from None
        criteria = {name: criterion.score(evidence) for name, criterion in CRITERIA.items()}
        kept = {
            "settings": settings.to_dict(),
            "criteria": criteria,
            "target_probs": pack(thin(evidence.target_probs).astype(np.float16)),
            "test_predictions": pack(test.argmax(dim=1).numpy().astype(np.uint16)),
            "seconds": seconds,
        }
        for key, value in kept.items():
            trial.set_user_attr(key, value)
        trial.set_constraint("source", self.task.source_floor - source_recall(evidence))
        return criteria[self.task.criterion]

    def _report(self, settings: Settings, trial: optuna.Trial, check: Callable[[], None]) -> Report:
        """A callback for each epoch: checks that the trial is still this worker's, and prunes it if pruning is on."""
        task = self.task

        def report(adapter: LossSlot, history: list[dict[str, Any]]) -> None:
            check()
            if not task.prune:
                return
            epoch = len(history)
            value = CRITERIA[task.criterion].score(show(adapter, task, settings.run.device))
            with deferred():
                trial.report(value, epoch)
                if epoch < settings.run.epochs and trial.should_prune():
                    raise optuna.TrialPruned(f"pruned after epoch {epoch}")

        return report


def train(
    settings: Settings, task: Task, title: str, report: Report | None = None, progress: Bar | bool = True
) -> tuple[LossSlot, float]:
    """Trains in the settings' run folder, so that a retried trial resumes from the lost one's checkpoint.

    Returns:
        The method and its training time in seconds.
    """
    loader = make_loader(settings, task.source, task.target)
    adapter = make_adapter(settings, task.source, len(loader))
    folder = RunFolder.of(task.out, settings, task.source, task.target)
    history = fit(
        adapter,
        loader,
        epochs=settings.run.epochs,
        folder=folder.path,
        key=folder.key,
        title=title,
        progress=progress,
        after_epoch=None if report is None else partial(report, adapter),
    )
    return adapter, sum(epoch["seconds"] for epoch in history)


def source_recall(evidence: Evidence) -> float:
    """Mean recall on held-out source faces."""
    return CRITERIA["src_macro"].score(evidence)


def show(adapter: LossSlot, task: Task, device: str) -> Evidence:
    """The evidence on a candidate: predictions and features on unlabelled target and held-out source faces."""
    settings = task.settings.but(**{"run.device": device})  # views and products are the same for all candidates
    target = predicted(adapter, task.target.train, settings)
    source = predicted(adapter, task.source.test, settings, 0)
    return Evidence(
        target_probs=target.probs.numpy(),
        target_features=target.features.numpy(),
        source_probs=source.probs.numpy(),
        source_features=source.features.numpy(),
        source_labels=task.source.test.labels,
    )


def thin(rows: Array) -> Array:
    """At most :data:`KEPT_SAMPLES` evenly spaced rows, the same for every trial."""
    kept: Array = rows[evenly_spaced(len(rows), KEPT_SAMPLES)]
    return kept


def pack(array: Array) -> dict[str, Any]:
    """Encodes an array as JSON, to send it through the study's storage to the machine that makes the choice."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def unpack(packed: dict[str, Any]) -> Array:
    """Decodes an array from :func:`pack`."""
    flat: Array = np.frombuffer(base64.b64decode(packed["data"]), dtype=packed["dtype"])
    whole: Array = flat.reshape(packed["shape"])
    return whole
