"""From a frozen config to data, models and a method: the one place where the rooms meet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from pytorch_adapt.containers import LRSchedulers, Models, Optimizers
from torch import nn

from ..backbones import BACKBONES, for_speed, load_pretrained, make_backbone, parameter_groups
from ..data import Domain, PairLoader, load_domain
from ..data.domains import require_every_class, require_landmarks, require_same_crop
from ..data.features import FeatureSet
from ..data.label_shift import shift_labels
from ..data.labels import NUM_CLASSES
from ..losses import LOSSES, ClassificationLoss, make_loss
from ..losses.schedule import Schedule, learning_rate_factor
from ..methods import METHODS, LossSlot
from ..methods.heads import FeatureHead, classifier
from ..util.distributed import join, processes, rank
from ..util.errors import UserError
from ..util.names import lookup
from .checkpoint import seed_everything
from .engine import set_device
from .settings import Config


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
    require_every_class(source)
    target = load(config.target)
    if config.target_shift is not None:
        target = shift_labels(target, config.target_shift, config.shift_draw)
    require_same_crop(source, target)
    check_landmarks(config, source, target)
    return source, target


def check_landmarks(config: Config, source: Domain, target: Domain) -> None:
    """A backbone with landmark branches needs the points of every face; frozen features don't.

    Raises:
        UserError: some are missing.
    """
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


#: Keys that are options of the classification loss.
LOSS_OPTIONS = ("max_margin", "epsilon", "margin_unit", "beta", "class_weights", "unseen", "refresh", "estimate")


def _make_loss(config: Config, loss: str, class_counts: list[int], steps_per_epoch: int) -> ClassificationLoss:
    options = {name: getattr(config, name) for name in LOSS_OPTIONS}
    try:
        return make_loss(loss, class_counts, make_schedule(config, steps_per_epoch), scale=config.scale, **options)
    except ValueError as error:
        raise UserError(str(error)) from None
