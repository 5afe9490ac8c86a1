"""Fills in settings that follow from others, and tells which settings make runs comparable."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..backbones import BACKBONES
from ..backbones.places import is_model_folder, place_digest
from ..losses import LOSSES
from ..losses.schedule import Schedule
from ..methods import METHODS
from ..util.errors import UserError
from ..util.names import lookup
from ..util.options import make
from .checks import check
from .groups import ENTRIES, EvalSettings
from .keys import entry_options, other_models
from .settings import Settings

#: Default learning rate of AdamW relative to SGD's: AdamW's steps are as large as its rate, whatever the gradient.
ADAMW_SHARE = 1 / 20

#: Keys that may follow from the method or the loss.
_BROUGHT = frozenset({"model.classifier", "model.scale", "model.feature_head", "model.head_init"})

#: Paths, which don't change numbers; identities have hashes of their contents instead.
PLACES = {"data": ("root", "labels", "on_bad_image"), "model": ("pretrained",)}


def resolve(settings: Settings) -> Settings:
    """Fills in every None that follows from other values, and all options of entries.

    The paper's 20 + 20 epochs become halves of ``epochs``; a run of one epoch has no second phase. Re-weighting begins
    at epoch 5, as in the authors' earlier code, but no later than the second phase.

    Raises:
        UserError: an option is unknown or not valid, or values conflict.
    """
    settings = _with_options(settings)
    own = own_values(settings)
    given = settings.to_dict()
    follows = {key for key in own if key in settings.follows or _at(given, key) is None}
    groups: dict[str, dict[str, Any]] = {}
    for key in follows:
        group, _, name = key.partition(".")
        groups.setdefault(group, {})[name] = own[key]
    filled = {group: replace(getattr(settings, group), **values) for group, values in groups.items()}
    resolved = replace(settings, **filled, follows=frozenset(follows))
    check(resolved)
    make_schedule(resolved, steps_per_epoch=1)  # fails here if its phases are out of order
    return resolved


def own_values(settings: Settings) -> dict[str, Any]:
    """The values that keys have if they follow from others, whatever they are now."""
    from ..losses.spec import CLASSIFIERS  # imports torch, which commands without a run don't need

    backbone, loss = BACKBONES.lookup(settings.model.backbone), LOSSES.lookup(settings.loss.name)
    given = None if "model.classifier" in settings.follows else settings.model.classifier
    half = max(1, settings.run.epochs // 2)
    feature_head = _feature_head(settings, backbone.feature_head)
    return {
        "data.crop_px": backbone.input_px,
        "model.classifier": loss.classifier,
        "model.scale": lookup("classifier", given or loss.classifier, CLASSIFIERS),
        "model.feature_head": feature_head,
        "model.head_init": _own_head_init(settings, given or loss.classifier, feature_head),
        **_of_folder(settings),
        "optimiser.lr": backbone.lr if settings.optimiser.name == "sgd" else backbone.lr * ADAMW_SHARE,
        "loss.confusion_epoch": half,
        "loss.reweight_epoch": min(5, half),
    }


def _of_folder(settings: Settings) -> dict[str, Any]:
    """The input scale and views of a model folder; the defaults without one."""
    stored: dict[str, Any] = {"model": {}}
    if is_model_folder(settings.model.pretrained):
        from .stored import read_settings  # stored imports settings

        stored = read_settings(Path(str(settings.model.pretrained)))["settings"]
    scale = stored["model"].get("input_scale", 1.0)
    return {"model.input_scale": scale, "eval.views": stored.get("eval", {}).get("views", "none")}


def taken_over(settings: Settings) -> str:
    """A line on the values that settings take from a model folder by default; empty if there are none."""
    values = {"model.input_scale": settings.model.input_scale, "eval.views": settings.eval.views}
    found = [f"{k}={v}" for k, v in values.items() if k in settings.follows and v not in (1.0, "none")]
    return f"as in {settings.model.pretrained}: {', '.join(found)}" if found else ""


def _feature_head(settings: Settings, own: str) -> str:
    """The head of a method that needs regions, of a grid, or the backbone's own."""
    if METHODS.lookup(settings.method.name).needs_regions:
        return "global_local"
    return "global_only" if settings.model.pool == "grid" else own


def _own_head_init(settings: Settings, classifier: str, feature_head: str) -> str:
    """How classifiers start by default: pretrained if the weights include one for the same features."""
    model = settings.model
    if "model.feature_head" not in settings.follows and model.feature_head is not None:
        feature_head = model.feature_head
    method = METHODS.lookup(settings.method.name)
    if model.pretrained is None or classifier != "linear" or method.needs_regions:
        return "random"
    # Nothing else is possible; weights without a classifier are reported when they are read.
    if method.needs_pretrained:
        return "pretrained"
    if is_model_folder(model.pretrained):
        from .stored import read_settings  # stored imports settings

        stored = {"pool": "average", "maps": model.maps, **read_settings(Path(model.pretrained))["settings"]["model"]}
        own = {"feature_head": feature_head, "classifier": "linear", "pool": model.pool, "maps": model.maps}
        return "pretrained" if own.items() <= stored.items() else "random"
    averages = feature_head == "global_only" and model.pool == "average"
    return "pretrained" if averages and brings_classifier(settings) else "random"


def brings_classifier(settings: Settings) -> bool:
    """Whether the pretrained weights of settings have a classifier whose classes are known."""
    model = settings.model
    known = bool(BACKBONES.lookup(model.backbone).classes or model.pretrained_classes)
    return model.pretrained is not None and (known or is_model_folder(model.pretrained))


def pool_of(settings: Settings) -> str:
    """The pool of a run's network.

    It is ``model.pool``, except for a method without training, which predicts with a published classifier on averages
    even in a grid with ``pool=grid``. A model folder's classifier takes the features of its own pool.
    """
    trains = METHODS.lookup(settings.method.name).trains
    return settings.model.pool if trains or is_model_folder(settings.model.pretrained) else "average"


def product_of(settings: Settings) -> str:
    """Whose predictions multiply a run's; none for a method without training, which is the baseline."""
    return settings.eval.product if METHODS.lookup(settings.method.name).trains else "none"


def as_start(settings: Settings) -> Settings:
    """The settings of the method as_is, which predicts with the pretrained classifier alone.

    Raises:
        UserError: they are not valid.
    """
    own = {"model.classifier": None, "model.scale": None, "model.head_init": None}
    nobody = {"eval.product": "none", "eval.product_power": EvalSettings.product_power}
    return resolve(settings.but(**{"method.name": "as_is", "loss.name": "ce", **own, **nobody}))


def _at(values: dict[str, dict[str, Any]], key: str) -> Any:
    group, _, name = key.partition(".")
    return values[group][name]


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
    """The settings that make two runs the same: all but paths, whose contents' hashes are kept separately.

    The folders of other models are replaced by hashes.
    """
    values = settings.to_dict()
    for group, names in PLACES.items():
        for name in names:
            del values[group][name]
    values["run"]["device"] = settings.run.device.partition(":")[0]  # several GPUs count as alike
    for key, folder in other_models(settings).items():
        group, _, name = key.partition(".")
        owner = values[group] if name in values[group] else values[group]["options"]
        owner[name] = place_digest(folder)
    return values


def comparable(settings: Settings) -> dict[str, Any]:
    """The settings that two runs must share to be in one table: :func:`identity` without method, loss and seed.

    Values that follow from the method or the loss, such as a cosine classifier, don't count as a difference.
    """
    values = identity(settings)
    for key in _BROUGHT & settings.follows:
        group, _, name = key.partition(".")
        values[group][name] = None
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
