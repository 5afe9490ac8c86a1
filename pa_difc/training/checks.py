"""Checks of resolved settings, before data is read: refuses values that conflict or have no effect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..backbones import BACKBONES
from ..backbones.places import is_model_folder
from ..data.protocol import NO_SOURCE
from ..losses import LOSSES
from ..methods import METHODS
from ..util.errors import UserError
from .groups import DataSettings, EvalSettings, ModelSettings, OptimiserSettings
from .keys import other_models

if TYPE_CHECKING:
    from .settings import Settings


def check(resolved: Settings) -> None:
    """Refuses invalid settings.

    Raises:
        UserError: values conflict, or one has no effect.
    """
    backbone, loss = BACKBONES.lookup(resolved.model.backbone), LOSSES.lookup(resolved.loss.name)
    model, optimiser = resolved.model, resolved.optimiser
    if model.landmark_branch != "conv" and model.feature_head == "global_only":
        raise UserError(f"landmark_branch={model.landmark_branch!r} has no effect with feature_head='global_only'")
    if model.pool == "grid" and model.feature_head != "global_only":
        raise UserError(f"pool='grid' needs feature_head=global_only, not {model.feature_head}")
    if model.pool == "grid" and not backbone.grid:
        raise UserError(f"pool='grid': backbone {model.backbone} does not support it (BackboneSpec.grid)")
    if model.pool != "grid" and model.maps != ModelSettings.maps:
        raise UserError(f"maps={model.maps!r} has no effect with pool={model.pool!r}")
    if model.classifier not in loss.classifiers:
        raise UserError(f"loss {resolved.loss.name} needs classifier={loss.classifiers[0]}, not {model.classifier}")
    _check_start(resolved)
    for key, folder in other_models(resolved).items():
        _check_faces(resolved, f"{key}={folder}", folder)
    if resolved.data.crop_px != backbone.input_px and not backbone.any_px:
        raise UserError(f"crop_px={resolved.data.crop_px}: backbone {model.backbone} takes {backbone.input_px}")
    if optimiser.schedule != "drop" and optimiser.lr_drop != OptimiserSettings.lr_drop:
        raise UserError(f"lr_drop={optimiser.lr_drop:g} has no effect with schedule={optimiser.schedule!r}")
    if optimiser.name != "sgd" and optimiser.momentum != OptimiserSettings.momentum:
        raise UserError(f"momentum={optimiser.momentum:g} has no effect with optimiser {optimiser.name}")
    _check_product(resolved)
    _check_source(resolved)


def _check_product(resolved: Settings) -> None:
    """Refuses a product without its model, and a power without a product."""
    product, power = resolved.eval.product, resolved.eval.product_power
    if product == "none" and power != EvalSettings.product_power:
        raise UserError(f"product_power={power:g} has no effect with product=none")
    if product == "start" and resolved.model.pretrained is None:
        raise UserError("product=start: give --pretrained, the weights that include a classifier")


def _check_source(resolved: Settings) -> None:
    """Refuses what needs a source if there is none."""
    data, method = resolved.data, METHODS.lookup(resolved.method.name)
    if data.source != NO_SOURCE:
        return
    if method.uses_source and method.trains:
        raise UserError(
            f"source=none: method {resolved.method.name} learns from a labelled source; name one, or use source_free "
            "or as_is"
        )
    for key, value, plain in (
        ("prior_correction", resolved.run.prior_correction, "none"),
        ("sampler", data.sampler, DataSettings.sampler),
        ("target_shift", data.target_shift, None),
    ):
        if value != plain:
            raise UserError(f"{key}={value}: needs a source, and there is none; name one")


def _check_start(resolved: Settings) -> None:
    """Refuses an impossible initialisation of classifiers."""
    model, method = resolved.model, METHODS.lookup(resolved.method.name)
    if model.head_init == "pretrained":
        if model.pretrained is None:
            raise UserError("head_init=pretrained: give --pretrained, the weights that include a classifier")
        if model.classifier != "linear":
            raise UserError(f"head_init=pretrained: a {model.classifier} classifier can't start from a linear one")
        if method.needs_regions:
            what = f"{resolved.method.name} classifies regions of faces, not their features"
            raise UserError(f"head_init=pretrained: {what}")
    elif method.needs_pretrained and model.pretrained is not None:
        raise UserError(
            f"head_init=random: {resolved.method.name} needs the pretrained classifier; leave head_init out"
        )
    elif method.needs_pretrained:
        does = "starts from" if method.trains else "predicts with"
        raise UserError(
            f"method {resolved.method.name} {does} the classifier of pretrained weights: give --pretrained, a model "
            "folder or the weights of --backbone expression"
        )
    elif model.pretrained_classes is not None and model.pretrained is None:
        raise UserError("pretrained_classes has no effect without --pretrained")
    elif model.pretrained_classes is not None and "model.head_init" not in resolved.follows:
        raise UserError("pretrained_classes has no effect with head_init=random")


def _check_faces(resolved: Settings, option: str, folder: Path) -> None:
    """Refuses another model that can't take the faces of a run."""
    from .stored import read_settings  # stored imports settings

    if not is_model_folder(folder):
        raise UserError(f"{option}: no model in this folder; give a finished run's folder, or one that export wrote")
    if (size_px := read_settings(folder)["input"]["size_px"]) != resolved.data.crop_px:
        raise UserError(
            f"{option}: that model takes faces of {size_px} px, but this run has {resolved.data.crop_px} px: set "
            f"crop_px={size_px}, or use another model"
        )
