"""Builds data, models and a method from resolved settings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from pytorch_adapt.containers import Models
from torch import nn

from ..backbones import BACKBONES
from ..backbones.checked import require_features
from ..backbones.classifiers import is_of_classifier
from ..backbones.make import make_backbone
from ..backbones.scale import show_scaled
from ..backbones.speed import for_speed, for_training
from ..data.domains import Domain, no_source, require_landmarks, require_same_crop, require_source
from ..data.features import FeatureSet
from ..data.grouping import require_fit
from ..data.label_shift import shift_labels
from ..data.labels import find_label_set
from ..data.loaders import PairLoader
from ..data.loading import load_domain
from ..data.protocol import NO_SOURCE
from ..losses.make import make_loss
from ..losses.protocols import SteppedLoss
from ..losses.spec import ClassificationLoss
from ..methods import METHODS
from ..methods.heads import FeatureHead
from ..methods.slot import LossSlot
from ..methods.teaching import Teaching
from ..util.distributed import join, processes, rank
from ..util.errors import UserError
from ..util.options import is_path
from ..util.process import say_once
from ..util.terminal import wrapped
from .checkpoint import seed_everything
from .device import set_device
from .keys import other_models
from .optimiser import make_containers
from .other import other_model, product_model
from .resolve import make_schedule, pool_of, taken_over
from .settings import Settings
from .start import Said, fill_backbone, make_classifier
from .stored import read_settings


def load_pair(settings: Settings) -> tuple[Domain, Domain]:
    """Loads source and target with one label set; with ``source=none`` the source is empty.

    Raises:
        UserError: the device can't be used, pretrained weights do not fit, a dataset is missing or invalid, or the
            source has no labels.
    """
    data = settings.data
    join(settings.run.device)
    set_device(settings.run.device, settings.run.deterministic)  # first: a wrong one fails before data is read
    require_weights(settings)
    assert data.crop_px is not None
    load = partial(
        load_domain,
        data_root=Path(data.root),
        size_px=data.crop_px,
        on_bad_image=data.on_bad_image,
        deduplicate=data.deduplicate,
        group_by=data.group_by,
        near_duplicates=data.near_duplicates,
    )
    if said := taken_over(settings):
        print(wrapped(said, indent=2), flush=True)
    labels = find_label_set(data.labels)
    if data.source == NO_SOURCE:
        if labels is None:
            raise UserError(
                "--labels folders: without a source there are no class folders; name a label set, such as expressions"
            )
        target = load(data.target, labels=labels)
        return no_source(target), target
    source = load(data.source, labels=labels)
    require_source(source)
    target = load(data.target, labels=source.label_set)
    require_fit(data.group_by, source.fits + target.fits, (source.name, target.name))
    if data.target_shift is not None:
        target = shift_labels(target, data.target_shift, data.shift_draw)
    require_same_crop(source, target)
    check_landmarks(settings, source, target)
    return source, target


def require_weights(settings: Settings) -> None:
    """Checks, before data is read, that the pretrained weights fit, if settings name any.

    Raises:
        UserError: the weights can't be read, or do not fit.
    """
    if settings.model.pretrained:
        make_extractor(settings)


def check_landmarks(settings: Settings, source: Domain, target: Domain) -> None:
    """Checks that every face has landmarks if the backbone, or another model's, has landmark branches.

    Raises:
        UserError: landmarks are missing.
    """
    if settings.model.feature_head == "global_local" and not isinstance(source.train, FeatureSet):
        require_landmarks(source, target)
    if any(read_settings(folder)["input"]["landmarks"] for folder in other_models(settings).values()):
        require_landmarks(source, target)


def make_loader(settings: Settings, source: Domain, target: Domain) -> PairLoader:
    """Makes the loader of training batches."""
    data = settings.data
    return PairLoader(
        None if source.empty else source.train,
        target.train,
        batch_size=data.batch_size,
        seed=settings.run.seed,
        flip=data.flip,
        zoom=data.zoom,
        sampler=data.sampler,
        target_sampler=data.target_sampler,
        device=set_device(settings.run.device, settings.run.deterministic),
        rank=rank(),
        processes=processes(),
    )


def make_slot_loss(settings: Settings, source: Domain, steps_per_epoch: int) -> ClassificationLoss:
    """Makes the classification loss.

    Raises:
        UserError: the loss needs samples of every class and the source lacks one, or an option doesn't fit the classes.
    """
    assert settings.model.scale is not None
    try:
        return make_loss(
            settings.loss.name,
            source.train_counts,
            make_schedule(settings, steps_per_epoch),
            num_classes=len(source.label_set),
            class_names=source.label_set.names,
            scale=settings.model.scale,
            label_smoothing=settings.loss.label_smoothing,
            **settings.loss.options,
        )
    except UserError as error:
        raise UserError(f"source {source.name}: {error}") from None
    except ValueError as error:
        raise UserError(str(error)) from None


def learns_from_target(settings: Settings, source: Domain) -> bool:
    """Whether training depends on target batches, for the method or the loss; if not, neither on their sampler.

    Raises:
        UserError: see :func:`make_slot_loss`.
    """
    if METHODS.lookup(settings.method.name).uses_target:
        return True
    loss = make_slot_loss(settings, source, steps_per_epoch=1)
    return bool(getattr(loss, "uses_target", isinstance(loss, SteppedLoss)))


def make_adapter(settings: Settings, source: Domain, steps_per_epoch: int) -> LossSlot:
    """Makes the method with initial weights; for one seed, every method gets the same extractor."""
    seed_everything(settings.run.seed)
    method = METHODS.lookup(settings.method.name)
    options = method.read_options(settings.method.options)
    extractor = method.extractor(_extractor(settings, source))
    make = make_classifier(settings, source)
    heads = method.heads(int(extractor.num_features), len(source.label_set), make=make, options=options)  # type: ignore[arg-type]
    models = Models({"G": extractor, **heads})
    optimizers, lr_schedulers = make_containers(settings, models, steps_per_epoch)
    adapter = method(
        models,
        optimizers,
        lr_schedulers,
        loss=make_slot_loss(settings, source, steps_per_epoch),
        **settings.method.options,
        **method.schedule_options(settings.run.epochs * steps_per_epoch),
    )
    if isinstance(teaching := adapter.misc.get("teaching"), Teaching):
        teaching.class_names = source.label_set.names
        if teaching.teacher is not None:
            for_training(teaching.teacher.models["G"])
        if is_path(place := teaching.options.teacher):
            teaching.learn_from(other_model(Path(place), source))
    if (multiplied := product_model(settings, source)) is not None:
        adapter.misc["product"] = multiplied
    if settings.optimiser.ema and method.trains:
        adapter.average_weights(settings.optimiser.ema, settings.optimiser.start_share)
    return adapter


def make_extractor(settings: Settings) -> nn.Module:
    """Makes the backbone, with its pretrained weights and settings for speed.

    Raises:
        UserError: the backbone doesn't support an option, the weights do not fit, or a plugin's backbone fails
            :func:`.require_features`.
    """
    model = settings.model
    backbone = new_backbone(settings)
    if not BACKBONES.is_built_in(model.backbone):
        require_features(model.backbone, backbone, settings.data.crop_px or BACKBONES.lookup(model.backbone).input_px)
    if model.pretrained:
        report = fill_backbone(backbone, settings)
        if model.head_init == "pretrained" and not getattr(getattr(backbone, "trunk", None), "averages", True):
            raise UserError(
                f"head_init=pretrained: {model.backbone} has layers between its features and its classifier; use "
                "head_init=random"
            )
        of_trunk = replace(report, dropped=tuple(name for name in report.dropped if not is_of_classifier(name)))
        say_once(f"weights {model.pretrained}: {of_trunk}")
        if model.head_init == "pretrained":
            say_once(f"the classifier of {model.pretrained} is used")
    on_cpu = settings.run.device == "cpu"
    channels_last = on_cpu if model.channels_last is None else model.channels_last
    for_speed(backbone, precision=model.precision, channels_last=channels_last, compiled=model.compile)
    return backbone


def new_backbone(settings: Settings) -> nn.Module:
    """Makes the backbone with initial weights and its input scale."""
    model = settings.model
    assert model.input_scale is not None
    backbone = make_backbone(
        model.backbone,
        feature_head=model.feature_head,
        landmark_branch=model.landmark_branch,
        pool=pool_of(settings),
        maps=model.maps,
        **model.options,
    )
    return show_scaled(backbone, model.input_scale)


def _extractor(settings: Settings, source: Domain) -> nn.Module:
    """The backbone or, for frozen features, a small head in its place."""
    if isinstance(source.train, FeatureSet):
        k = len(source.label_set)
        return FeatureHead(source.train.num_features) if METHODS.lookup(settings.method.name).trains else Said(k)
    return make_extractor(settings)
