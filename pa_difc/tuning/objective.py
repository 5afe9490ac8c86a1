"""One trial: train a candidate, and keep what selection may look at. There is no way here to a target label."""

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
from .interrupts import deferred, interruptible
from .space import Space, candidate, suggest

Array = np.ndarray[Any, Any]

#: What is told of each epoch of a trial: the method and the history so far.
Report = Callable[[LossSlot, list[dict[str, Any]]], None]

#: What makes a progress bar.
Bar = Callable[..., tqdm]

#: Target samples whose probabilities a trial keeps, evenly spaced.
KEPT_SAMPLES = 2000


@dataclass(frozen=True)
class Task:
    """What a study's trials share. The target's labels are -1, all of them: :func:`blind` made it so."""

    settings: Settings
    source: Domain
    target: Domain
    out: Path
    criterion: str  #: the key of CRITERIA that is maximised
    prune: bool = False  #: whether trials report after each epoch and may be stopped
    source_floor: float = 0.0  #: the least mean recall on held-out source


def blind(target: Domain) -> Domain:
    """A target without labels: training, criteria, run folders and hashes can't depend on what isn't there."""
    train, test = target.train, target.test
    assert isinstance(train, FaceSet) and isinstance(test, FaceSet)
    return replace(target, train=train.without_labels(), test=test.without_labels())


class Objective:
    """The function that a study maximises: a criterion on the unlabelled target's training set.

    Args:
        task: what the trials share.
        space: what is searched.
        title: makes a trial's title for progress.
        progress: how that is shown; see :func:`pa_difc.training.engine.fit`.
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
        """What looks after each epoch whether the trial is still ours, and tells the study of it if poor ones stop."""
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
    """Trains in the folder of the settings, so that a retried trial resumes from the lost one's checkpoint.

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
    """Mean recall on the source's held-out set."""
    return CRITERIA["src_macro"].score(evidence)


def show(adapter: LossSlot, task: Task, device: str) -> Evidence:
    """What a candidate shows: its predictions and features on unlabelled target and held-out source."""
    settings = task.settings.but(**{"run.device": device})  # views and products are those of all candidates alike
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
    """At most :data:`KEPT_SAMPLES` rows, evenly spaced; the same ones for every trial."""
    kept: Array = rows[np.linspace(0, len(rows) - 1, min(len(rows), KEPT_SAMPLES)).astype(int)]
    return kept


def pack(array: Array) -> dict[str, Any]:
    """An array as JSON: it goes through the study's storage to whichever machine makes the choice."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def unpack(packed: dict[str, Any]) -> Array:
    """The array that :func:`pack` was given."""
    flat: Array = np.frombuffer(base64.b64decode(packed["data"]), dtype=packed["dtype"])
    whole: Array = flat.reshape(packed["shape"])
    return whole
