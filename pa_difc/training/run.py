"""Trains, scores and records one run, a cell of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from ..data.domains import Domain
from ..data.features import FeatureSet
from ..evaluation.inference import Predictions
from ..evaluation.metrics import prediction_counts, score
from ..evaluation.prior import estimate_prior
from ..evaluation.quality import feature_quality
from ..methods import METHODS
from ..methods.slot import LossSlot
from ..util.bars import tqdm
from ..util.distributed import from_first, needs_all, on_first, rank
from ..util.errors import DivergedError, UserError
from ..util.lock import holding, sweep
from .build import check_landmarks, make_adapter, make_loader
from .engine import fit
from .leaks import Globals
from .loggers import final_scores, logged
from .made_from import origins
from .other import predicted, product_of_record
from .record import SETTINGS, RunFolder
from .resolve import pool_of
from .settings import Settings
from .start import for_samples

Arrays = dict[str, np.ndarray[Any, Any]]

#: Largest number of feature vectors stored per test split, for figures and for model choice without labels.
_KEPT_FEATURES = 2000


def run_cell(
    settings: Settings,
    source: Domain,
    target: Domain,
    out: Path,
    *,
    title: str = "",
    progress: bool | Callable[..., tqdm] = True,
    log: Sequence[str] = (),
    wait: bool = True,
    until: float = inf,
) -> dict[str, Any]:
    """Trains and scores one cell of a grid, or returns its record if it has one.

    Only one process trains a run; others, of other commands on the same ``out``, take its record.

    Args:
        settings: resolved.
        source, target: as returned by :func:`load_pair`.
        out: the folder that holds the run's folder.
        title: title of the progress bar.
        progress: whether to show a bar; see :func:`.engine.fit`.
        log: names of loggers; see :mod:`.loggers`.
        wait: whether to wait for another process that trains this run.
        until: the :func:`.clock.now` at which training stops; a run that is being scored is finished.

    Raises:
        UserError: see :func:`.engine.fit`; or a plugin's code keeps state for the next run, a logger is unknown, a
            record or checkpoint is damaged, or a file can't be written.
        Held: another process trains this run, and ``wait`` is False.
        LateError: see :func:`.engine.fit`.
    """
    settings = for_samples(settings, source)
    folder = RunFolder.of(out, settings, source, target)
    if (record := _kept(folder)) is not None:
        return record
    with holding(folder.path, "is training this run", wait=wait) if rank() == 0 else nullcontext():
        if (record := from_first(folder.record)) is not None:  # by the process that was waited for
            return record
        return _run(folder, source, target, title, progress, log, until)


def kept_record(settings: Settings, source: Domain, target: Domain, out: Path) -> dict[str, Any] | None:
    """The record of a cell that was trained before, or None; see :func:`run_cell`.

    Raises:
        UserError: the record is damaged, or these settings don't fit the data.
    """
    return _kept(RunFolder.of(out, for_samples(settings, source), source, target))


def _kept(folder: RunFolder) -> dict[str, Any] | None:
    """A run's record; also removes what a killed process has left beside it."""
    record = from_first(folder.record)
    if record is not None:
        sweep(folder.path)
    return record


@needs_all
def _run(
    folder: RunFolder,
    source: Domain,
    target: Domain,
    title: str,
    progress: bool | Callable[..., tqdm],
    log: Sequence[str],
    until: float,
) -> dict[str, Any]:
    """Trains and scores a run without a record, whose folder this process has locked."""
    settings = folder.settings
    check_landmarks(settings, source, target)
    if isinstance(source.train, FeatureSet) and not METHODS.lookup(settings.method.name).trains:
        source, target = said(source), said(target)
    if rank() == 0:
        folder.write_settings()
    shared = Globals(settings)
    loader = make_loader(settings, source, target)
    adapter = make_adapter(settings, source, len(loader))
    shared.require_unchanged()  # :func:`.engine.fit` checks the rest
    title = title or f"{settings.method.name} · {settings.loss.name}"
    with logged(log if rank() == 0 else (), folder.path, settings, source.label_set.names) as to_log:
        history = fit(
            adapter,
            loader,
            epochs=settings.run.epochs if adapter.trains else 0,
            folder=folder.path,
            key=folder.key,
            title=title,
            progress=progress,
            after_epoch=to_log,
            until=until,
        )
        if rank() == 0 and not (folder.path / SETTINGS).exists():  # the record alone would look like a complete run
            raise UserError(f"{folder.path} was removed during training; rerun the command to start again")
        record = finish(adapter, source, target, folder, history)
        to_log(history)  # logs all epochs if none was left to train
        to_log.end(settings.run.epochs, lambda: final_scores(record))
    return record


def said(domain: Domain) -> Domain:
    """Replaces a domain's frozen features by the predictions of the pretrained classifier."""
    train, test = domain.train, domain.test
    assert isinstance(train, FeatureSet) and isinstance(test, FeatureSet)
    return replace(domain, train=train.said(), test=test.said())


@on_first
def finish(
    adapter: LossSlot, source: Domain, target: Domain, folder: RunFolder, history: list[dict[str, Any]]
) -> dict[str, Any]:
    """Scores a trained method on both test splits and writes its record; only this uses target labels.

    For an unlabelled target the record has the counts of predicted classes; without a source it has no source scores.
    Of several processes the first one does this, and the others wait.
    """
    correction = folder.settings.run.prior_correction
    scores: dict[str, Any] = {}
    summary: dict[str, Any] = {"mean_feature_norm": {}, "feature_quality": {}}
    adjustment = None
    outputs: Arrays = {}
    for side, domain, number in (("source", source, 0), ("target", target, 1)):
        if domain.empty:
            continue
        predictions = predicted(adapter, domain.test, folder.settings, number)
        if not (predictions.features.isfinite().all() and predictions.probs.isfinite().all()):
            name = f"{folder.settings.method.name} · {folder.settings.loss.name}"
            raise DivergedError(f"{name}: its features are not finite after the last update. Lower --set lr")
        probs = predictions.probs.numpy()
        if side == "source" and correction != "none":
            unlabelled = predicted(adapter, target.train, folder.settings).probs.numpy()
            adjustment = estimate_prior(correction, probs, domain.test.labels, unlabelled)
        elif side == "target" and adjustment is not None:
            if domain.labelled:
                scores["target_unadjusted"] = score(domain.test.labels, probs)
            probs = adjustment.apply(probs)
        outputs |= _outputs(side, domain, predictions, probs)
        summary["mean_feature_norm"][side] = predictions.features.norm(dim=1).mean().item()
        if domain.labelled:
            scores[side] = score(domain.test.labels, probs)
            summary["feature_quality"][side] = feature_quality(predictions.features, domain.test.labels)
        else:
            scores["unlabelled_target"] = prediction_counts(probs)
    if source.empty:
        outputs |= {f"source_{name}": outputs[f"target_{name}"][:0] for name in ("labels", "probs", "kept", "features")}
    summary["parameters"] = {n: sum(p.numel() for p in model.parameters()) for n, model in adapter.models.items()}
    summary["origins"] = origins(folder.settings.to_dict(), folder.identity["weights"])
    summary["pool"] = pool_of(folder.settings)
    summary["product"] = product_of_record(folder.settings, adapter)
    summary["adjustment"] = adjustment and adjustment.to_dict()
    written = folder.write_outputs(outputs)
    return folder.write(source, target, history=history, scores=scores, adapter_summary=summary, outputs=written)


def _outputs(side: str, domain: Domain, predictions: Predictions, probs: np.ndarray) -> Arrays:
    """Data of a test split for figures: labels, probabilities, and evenly spaced features with their indices."""
    n = len(domain.test)
    kept = np.linspace(0, n - 1, min(n, _KEPT_FEATURES)).astype(np.int64)
    return {
        f"{side}_labels": domain.test.labels.astype(np.int16),
        f"{side}_probs": probs.astype(np.float32),
        f"{side}_kept": kept,
        f"{side}_features": predictions.features[kept].numpy().astype(np.float16),
    }
