"""Settings whose every None that follows from other values is filled in, and what of them makes runs comparable."""

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

#: AdamW's steps are of the size of its learning rate, whatever the gradient: SGD's would be far too large for it.
ADAMW_SHARE = 1 / 20

#: Keys that may follow from the method or the loss.
_BROUGHT = frozenset({"model.classifier", "model.scale", "model.feature_head", "model.head_init"})

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
    """What the keys that follow from the others would be, whatever they are now."""
    from ..losses.spec import CLASSIFIERS  # needs torch, which a command line without a run can do without

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
    """What the network of a model folder is shown of a face, and its views; without a folder, the face alone."""
    stored: dict[str, Any] = {"model": {}}
    if is_model_folder(settings.model.pretrained):
        from .stored import read_settings  # which needs settings

        stored = read_settings(Path(str(settings.model.pretrained)))["settings"]
    scale = stored["model"].get("input_scale", 1.0)
    return {"model.input_scale": scale, "eval.views": stored.get("eval", {}).get("views", "none")}


def taken_over(settings: Settings) -> str:
    """What resolved settings have from a model folder unasked, for people; empty if nothing."""
    values = {"model.input_scale": settings.model.input_scale, "eval.views": settings.eval.views}
    found = [f"{k}={v}" for k, v in values.items() if k in settings.follows and v not in (1.0, "none")]
    return f"as in {settings.model.pretrained}: {', '.join(found)}" if found else ""


def _feature_head(settings: Settings, own: str) -> str:
    """The head of a method that needs regions, of a grid, or the backbone's own."""
    if METHODS.lookup(settings.method.name).needs_regions:
        return "global_local"
    return "global_only" if settings.model.pool == "grid" else own


def _own_head_init(settings: Settings, classifier: str, feature_head: str) -> str:
    """Whether classifiers start as the pretrained one: where one comes along that reads the same features."""
    model = settings.model
    if "model.feature_head" not in settings.follows and model.feature_head is not None:
        feature_head = model.feature_head
    method = METHODS.lookup(settings.method.name)
    if model.pretrained is None or classifier != "linear" or method.needs_regions:
        return "random"
    # They can't do otherwise; if the weights have no classifier, that is reported when they are read.
    if method.needs_pretrained:
        return "pretrained"
    if is_model_folder(model.pretrained):
        from .stored import read_settings  # which needs settings

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

    It is the one that was asked for, but for a method that trains nothing: in a table of grids it predicts with a
    published classifier, which reads averages. The classifier of a model folder of ours reads what the folder's does.
    """
    trains = METHODS.lookup(settings.method.name).trains
    return settings.model.pool if trains or is_model_folder(settings.model.pretrained) else "average"


def product_of(settings: Settings) -> str:
    """Whose predictions multiply a run's: a method that trains nothing stays what it is, the row to beat."""
    return settings.eval.product if METHODS.lookup(settings.method.name).trains else "none"


def as_start(settings: Settings) -> Settings:
    """The settings of the pretrained classifier alone, as the method as_is predicts with it.

    Raises:
        UserError: it can't be so.
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
    """What of resolved settings makes two runs the same: everything but where files lie, whose hashes stand apart.

    A hash replaces another model's folder.
    """
    values = settings.to_dict()
    for group, names in PLACES.items():
        for name in names:
            del values[group][name]
    values["run"]["device"] = settings.run.device.partition(":")[0]  # of several alike, any may train it
    for key, folder in other_models(settings).items():
        group, _, name = key.partition(".")
        owner = values[group] if name in values[group] else values[group]["options"]
        owner[name] = place_digest(folder)
    return values


def comparable(settings: Settings) -> dict[str, Any]:
    """What two runs must share to stand in one table: :func:`identity` without method, loss and seed.

    What a method or loss brings along where nothing else was asked for, such as a cosine classifier, is no difference.
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
