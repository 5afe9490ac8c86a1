"""Settings whose every None that follows from other values is filled in, and what of them makes runs comparable."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..backbones import BACKBONES
from ..losses import LOSSES
from ..losses.schedule import Schedule
from ..methods import METHODS
from ..util.errors import UserError
from ..util.options import make
from .groups import ENTRIES, LossSettings
from .keys import entry_options
from .settings import Settings

if TYPE_CHECKING:
    from ..backbones import BackboneSpec
    from ..losses import LossSpec

#: AdamW's steps are of the size of its learning rate, whatever the gradient: SGD's would be far too large for it.
ADAMW_SHARE = 1 / 20

#: Settings that do not change a number: where things lie. Hashes of contents stand for them.
PLACES = {"data": ("root", "labels", "on_bad_image"), "model": ("pretrained",)}


def resolve(settings: Settings) -> Settings:
    """The settings with every None that follows from other values filled in, and all options of their entries.

    The paper's 20 + 20 epochs become halves of ``epochs``; a run of one epoch has no second phase. Re-weighting begins
    at epoch 5, as in its authors' earlier code, but no later than the second phase.

    Raises:
        UserError: an option is unknown or not valid, or the values do not fit together.
    """
    settings = _with_options(settings)
    backbone, loss = BACKBONES.lookup(settings.model.backbone), LOSSES.lookup(settings.loss.name)
    resolved = replace(
        settings,
        data=replace(settings.data, crop_px=_or(settings.data.crop_px, backbone.input_px)),
        model=replace(
            settings.model,
            classifier=_or(settings.model.classifier, loss.classifier),
            scale=_or(settings.model.scale, _own_scale(settings, loss)),
            feature_head=_or(settings.model.feature_head, _own_feature_head(settings, backbone)),
        ),
        optimiser=replace(settings.optimiser, lr=_or(settings.optimiser.lr, _own_lr(settings, backbone))),
        loss=_with_phases(settings.loss, settings.run.epochs),
    )
    if resolved.model.landmark_branch != "conv" and resolved.model.feature_head == "global_only":
        branch = resolved.model.landmark_branch
        raise UserError(f"landmark_branch={branch!r} has no effect with feature_head='global_only'")
    if resolved.model.classifier not in loss.classifiers:
        name, found = resolved.loss.name, resolved.model.classifier
        raise UserError(f"loss {name} needs --set classifier={loss.classifiers[0]}, not {found}")
    make_schedule(resolved, steps_per_epoch=1)  # refuses here, before any data is read
    return resolved


def make_schedule(settings: Settings, steps_per_epoch: int) -> Schedule:
    """When the loss's ingredients begin, for resolved settings.

    Raises:
        UserError: the phases are out of order.
    """
    loss = settings.loss
    try:
        return Schedule(
            steps_per_epoch=steps_per_epoch,
            warmup_epochs=loss.warmup_epochs,
            confusion_epoch=loss.confusion_epoch,
            reweight_epoch=loss.reweight_epoch,
            reweight_with_confusion=loss.reweight_with_confusion,
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def identity(settings: Settings) -> dict[str, Any]:
    """What of resolved settings makes two runs the same: everything but where files lie, whose hashes stand apart."""
    values = settings.to_dict()
    for group, names in PLACES.items():
        for name in names:
            del values[group][name]
    return values


def comparable(settings: Settings) -> dict[str, Any]:
    """What two runs must share to stand in one table: :func:`identity` without method, loss and seed.

    What a method or loss brings along, such as a cosine classifier, is its own and no difference.
    """
    values = identity(settings)
    backbone, loss = BACKBONES.lookup(settings.model.backbone), LOSSES.lookup(settings.loss.name)
    own = {
        "classifier": loss.classifier,
        "scale": _own_scale(settings, loss),
        "feature_head": _own_feature_head(settings, backbone),
    }
    values["model"] |= {name: None for name, value in own.items() if values["model"][name] == value}
    del values["method"], values["loss"]["name"], values["loss"]["options"], values["run"]["seed"]
    return values


def _with_options(settings: Settings) -> Settings:
    found = settings
    for group, field in ENTRIES.items():
        part = getattr(settings, group)
        name = getattr(part, field)
        kind = entry_options(group, name)
        owner = f"{'backbone' if group == 'model' else group} {name}"
        found = replace(found, **{group: replace(part, options=asdict(make(kind, part.options, owner)))})
    return found


def _with_phases(loss: LossSettings, epochs: int) -> LossSettings:
    half = max(1, epochs // 2)
    return replace(
        loss,
        confusion_epoch=_or(loss.confusion_epoch, half),
        reweight_epoch=_or(loss.reweight_epoch, min(5, half)),
    )


def _own_scale(settings: Settings, loss: LossSpec) -> float:
    return loss.scale if settings.model.classifier in (None, loss.classifier) else 1.0


def _own_feature_head(settings: Settings, backbone: BackboneSpec) -> str:
    return "global_local" if METHODS.lookup(settings.method.name).needs_regions else backbone.feature_head


def _own_lr(settings: Settings, backbone: BackboneSpec) -> float:
    return backbone.lr if settings.optimiser.name == "sgd" else backbone.lr * ADAMW_SHARE


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
