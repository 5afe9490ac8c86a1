"""From a frozen config to a trained method and its record: the one place where the rooms meet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_adapt.containers import LRSchedulers, Models, Optimizers
from torch import nn

from .backbones import BACKBONES, for_speed, load_pretrained, make_backbone, parameter_groups
from .checkpoint import seed_everything
from .config import Config
from .data import Domain, EvalLoader, PairLoader, load_domain
from .data.domains import require_every_class, require_landmarks, require_same_crop
from .data.features import FeatureSet
from .data.label_shift import shift_labels
from .data.labels import NUM_CLASSES
from .distributed import from_first, join, on_first, processes, rank
from .engine import fit, set_device
from .errors import UserError
from .evaluation import Predictions, predict, score
from .evaluation.prior import estimate
from .evaluation.quality import feature_quality
from .loggers import History, final_scores, make_logger
from .losses import LOSSES, ClassificationLoss, make_loss
from .methods import METHODS, LossSlot
from .methods.heads import FeatureHead, classifier
from .names import lookup
from .record import RunFolder
from .schedule import Schedule, learning_rate_factor


def resolve(config: Config) -> Config:
    """The config with every None that follows from other values filled in.

    The paper's 20 + 20 epochs become halves of ``epochs``; a run of one epoch has no second phase. Re-weighting begins
    at epoch 5, as in its authors' earlier code, but no later than the second phase.

    Raises:
        UserError: the backbone is unknown, or the values do not fit together.
    """
    spec = lookup("backbone", config.backbone, BACKBONES)
    epochs, loss = config.epochs, LOSSES[config.loss]
    defaults = {
        "head": loss.head,
        "scale": loss.scale if config.head in (None, loss.head) else 1.0,
        "backbone_head": "global_local" if METHODS[config.method].needs_regions else spec.head,
        "crop_px": spec.input_px,
        "lr": spec.lr,
        "weight": METHODS[config.method].default_weight,
        "confusion_epoch": max(1, epochs // 2),
        "reweight_epoch": min(5, max(1, epochs // 2)),
    }
    resolved = replace(config, **{k: v for k, v in defaults.items() if getattr(config, k) is None})
    if resolved.local_head != "conv" and resolved.backbone_head == "global_only":
        raise UserError(f"local_head={resolved.local_head!r} has no effect with backbone_head='global_only'")
    if resolved.head not in loss.heads:
        raise UserError(f"loss {config.loss} needs --set head={loss.heads[0]}, not {resolved.head}")
    _make_loss(resolved, "difc", [1] * NUM_CLASSES, steps_per_epoch=1)  # refuses here, before any data is read
    return resolved


def load_pair(config: Config) -> tuple[Domain, Domain]:
    """Source and target of a resolved config.

    Raises:
        UserError: the device can't be used, a dataset is missing or not as it should be, or a source class is empty.
    """
    join(config.device)
    set_device(config.device, config.deterministic)  # a wrong one should not cost the reading
    load = partial(
        load_domain,
        data_root=Path(config.data_root),
        size_px=config.crop_px,
        on_bad_image=config.on_bad_image,
        deduplicate=config.deduplicate,
    )
    source = load(config.source)
    require_every_class(source.train, config.source)
    target = load(config.target)
    if config.target_shift is not None:
        target = shift_labels(target, config.target_shift, config.shift_draw)
    require_same_crop(source, target)
    _check_landmarks(config, source, target)
    return source, target


def _check_landmarks(config: Config, source: Domain, target: Domain) -> None:
    if config.backbone_head == "global_local" and not isinstance(source.train, FeatureSet):
        require_landmarks(source, target)


def make_loader(config: Config, source: Domain, target: Domain) -> PairLoader:
    """The training batches of a resolved config."""
    return PairLoader(
        source.train,
        target.train,
        batch_size=config.batch_size,
        seed=config.seed,
        flip=config.flip,
        zoom=config.zoom,
        sampler=config.sampler,
        target_sampler=config.target_sampler,
        device=set_device(config.device, config.deterministic),
        rank=rank(),
        processes=processes(),
    )


def make_schedule(config: Config, steps_per_epoch: int) -> Schedule:
    """When the loss's ingredients begin, for a resolved config."""
    return Schedule(
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=config.warmup_epochs,
        confusion_epoch=config.confusion_epoch,
        reweight_epoch=config.reweight_epoch,
        reweight_with_confusion=config.reweight_with_confusion,
    )


def make_slot_loss(config: Config, source: Domain, steps_per_epoch: int) -> ClassificationLoss:
    """The classification loss of a resolved config."""
    return _make_loss(config, config.loss, source.train.class_counts, steps_per_epoch)


def make_containers(config: Config, models: Models, steps_per_epoch: int) -> tuple[Optimizers, LRSchedulers]:
    """SGD for every model, with the paper's drop of the learning rate at the switch to the DIFC phase.

    Every method and loss gets the same schedule, so that a table compares what it says it compares.
    """

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        multipliers = (config.new_lr_multiplier, config.new_decay_multiplier)
        groups = parameter_groups(model, config.lr, config.weight_decay, *multipliers)
        return torch.optim.SGD(groups, momentum=config.momentum)

    drop_step = config.confusion_epoch * steps_per_epoch
    factor = partial(learning_rate_factor, drop_step=drop_step, drop=config.lr_drop)
    schedulers = {name: (torch.optim.lr_scheduler.LambdaLR, {"lr_lambda": factor}) for name in models}
    return Optimizers({name: optimizer(model) for name, model in models.items()}), LRSchedulers(schedulers)


def make_adapter(config: Config, source: Domain, steps_per_epoch: int) -> LossSlot:
    """The method of a resolved config with fresh weights; the extractor's are the same for every method of a seed."""
    seed_everything(config.seed)
    method = METHODS[config.method]
    extractor = method.extractor(_extractor(config, source))
    make = partial(classifier, head=config.head, scale=config.scale)
    models = Models({"G": extractor, **method.heads(extractor.num_features, NUM_CLASSES, make)})
    optimizers, lr_schedulers = make_containers(config, models, steps_per_epoch)
    return method(
        models,
        optimizers,
        lr_schedulers,
        loss=make_slot_loss(config, source, steps_per_epoch),
        weight=config.weight,
        **method.schedule_options(config.epochs * steps_per_epoch),
    )


def make_extractor(config: Config) -> nn.Module:
    """The backbone of a resolved config, with pretrained weights if it names any, as fast as it asks for.

    Raises:
        UserError: an option does not go with the backbone, or the weights do not fit.
    """
    backbone = make_backbone(config.backbone, head=config.backbone_head, local_head=config.local_head)
    if config.pretrained:
        report = load_pretrained(backbone, config.pretrained)
        print(f"weights {config.pretrained}: {report}", flush=True)
    for_speed(backbone, precision=config.precision, channels_last=config.channels_last, compiled=config.compile)
    return backbone


def _extractor(config: Config, source: Domain) -> nn.Module:
    """The backbone; for features that were extracted before, a small head that takes its place."""
    if isinstance(source.train, FeatureSet):
        return FeatureHead(source.train.num_features)
    return make_extractor(config)


def run_cell(
    config: Config,
    source: Domain,
    target: Domain,
    out: Path,
    *,
    title: str = "",
    progress: bool = True,
    log: str | None = None,
) -> dict[str, Any]:
    """Trains and scores one cell of a grid, or returns its record if it has one.

    Args:
        config: a resolved config.
        source, target: as :func:`load_pair` gives them.
        out: below it lies the run's folder.
        title: of the progress bar.
        progress: whether a bar is shown.
        log: a logger's name; see :mod:`.loggers`.

    Raises:
        UserError: see :func:`.engine.fit`; there is no such logger; a record or checkpoint is damaged; a file can't be
            written.
    """
    folder = RunFolder.of(out, config, source, target)
    if (record := from_first(folder.record)) is not None:
        return record
    _check_landmarks(config, source, target)
    loader = make_loader(config, source, target)
    adapter = make_adapter(config, source, len(loader))
    title = title or f"{config.method} · {config.loss}"
    logger = make_logger(log, folder.path, title, config.to_dict()) if log and rank() == 0 else None
    to_log = History(logger) if logger else None
    history = fit(
        adapter,
        loader,
        epochs=config.epochs,
        folder=folder.path,
        key=folder.key,
        title=title,
        progress=progress,
        after_epoch=to_log,
    )
    record = finish(adapter, config, source, target, folder, history)
    if logger and to_log:
        to_log(history)  # all of it, if the last epoch's checkpoint was there already
        logger.log(config.epochs, final_scores(record))
        logger.close()
    return record


@on_first
def finish(
    adapter: LossSlot,
    config: Config,
    source: Domain,
    target: Domain,
    folder: RunFolder,
    history: list[dict[str, Any]],
) -> dict[str, Any]:
    """Scores a trained method on both test splits and writes its record. Only here are target labels looked at.

    Of several processes the first does it, and the others wait.
    """
    scores: dict[str, Any] = {}
    summary: dict[str, Any] = {"mean_feature_norm": {}, "feature_quality": {}}
    adjustment = None
    outputs: dict[str, np.ndarray] = {}
    for side, domain, number in (("source", source, 0), ("target", target, 1)):
        predictions = predict(adapter, EvalLoader(domain.test, device=config.device), domain=number)
        probs = predictions.probs.numpy()
        if side == "source" and config.adjust != "none":
            unlabelled = predict(adapter, EvalLoader(target.train, device=config.device), domain=1).probs.numpy()
            adjustment = estimate(config.adjust, probs, domain.test.labels, unlabelled)
        elif side == "target" and adjustment is not None:
            scores["target_unadjusted"] = score(domain.test.labels, probs)
            probs = adjustment.apply(probs)
        scores[side] = score(domain.test.labels, probs)
        outputs |= _outputs(side, domain, predictions, probs)
        summary["mean_feature_norm"][side] = predictions.features.norm(dim=1).mean().item()
        summary["feature_quality"][side] = feature_quality(predictions.features, domain.test.labels)
    summary["parameters"] = {n: sum(p.numel() for p in model.parameters()) for n, model in adapter.models.items()}
    summary["adjustment"] = adjustment and adjustment.to_dict()
    folder.write_outputs(outputs)
    return folder.write(config, source, target, history=history, scores=scores, adapter_summary=summary)


#: Of each test split, at most this many feature vectors are kept for pictures.
_KEPT_FEATURES = 500


def _outputs(side: str, domain: Domain, predictions: Predictions, probs: np.ndarray) -> dict[str, np.ndarray]:
    """What figures need of a test split: labels, probabilities, and an even choice of features with their positions."""
    n = len(domain.test)
    kept = np.linspace(0, n - 1, min(n, _KEPT_FEATURES)).astype(np.int64)
    return {
        f"{side}_labels": domain.test.labels.astype(np.int8),
        f"{side}_probs": probs.astype(np.float32),
        f"{side}_kept": kept,
        f"{side}_features": predictions.features[kept].numpy().astype(np.float16),
    }


#: Keys that are options of the classification loss.
LOSS_OPTIONS = ("max_margin", "epsilon", "margin_unit", "beta", "class_weights", "unseen", "refresh", "estimate")


def _make_loss(config: Config, loss: str, class_counts: list[int], steps_per_epoch: int) -> ClassificationLoss:
    options = {name: getattr(config, name) for name in LOSS_OPTIONS}
    try:
        return make_loss(loss, class_counts, make_schedule(config, steps_per_epoch), scale=config.scale, **options)
    except ValueError as error:
        raise UserError(str(error)) from None
