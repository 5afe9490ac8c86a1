"""Models besides the one in training: teachers, and those whose predictions multiply its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.random import fork_rng

from ..data.domains import Domain
from ..data.faces import Samples
from ..data.features import FeatureSet
from ..data.loaders import EvalLoader
from ..evaluation.inference import Predictions, predict
from ..methods.slot import LossSlot
from ..util.errors import UserError
from .face_model import FaceModel, OtherModel, load_model
from .model_settings import model_settings
from .record import versions
from .resolve import as_start, pool_of, product_of
from .settings import Settings
from .start import fill_backbone, pretrained_classifier


def other_model(folder: Path, domain: Domain) -> OtherModel:
    """Loads the model of a folder, with its views and its corrected prior, for the classes of a task.

    Args:
        folder: a finished run's folder, or one that ``export`` wrote.
        domain: data of the task.

    Raises:
        UserError: there is no model, its classes don't match, or it was made for faces with another crop.
    """
    with fork_rng([]):  # initialising it must not change training's random numbers
        model = load_model(folder)
    given, store = model.settings["input"], domain.store
    if given["prepared"] and store and given["crop"] != store["crop"]:
        raise UserError(
            f"the model of {folder} takes faces with crop {given['crop']}, but {domain.name} has crop "
            f"{store['crop']}: prepare it with --crop {given['crop']}, or use another model"
        )
    return OtherModel(model, domain.label_set, f"the model of {folder}")


def product_model(settings: Settings, domain: Domain) -> OtherModel | None:
    """The model whose predictions multiply those of a run on faces; None if there is none.

    Args:
        settings: resolved.
        domain: data of the task.

    Raises:
        UserError: see :func:`other_model` and :func:`.start.pretrained_classifier`.
    """
    product = product_of(settings)
    if product == "none" or isinstance(domain.train, FeatureSet):
        return None
    if product != "start":
        return other_model(Path(product), domain)
    return OtherModel(_start_model(as_start(settings), domain), domain.label_set, "the pretrained classifier")


def predicted(adapter: LossSlot, faces: Samples, settings: Settings, domain: int = 1) -> Predictions:
    """The final predictions of a run: the mean over its views, times the product's predictions.

    p ∝ p_run · q^a, with the probabilities q of ``eval.product`` and a = ``eval.product_power``.

    Args:
        adapter: a trained method.
        faces: the faces; frozen features include the pretrained classifier's predictions.
        settings: resolved; for views, product and device.
        domain: 0 for the source, 1 for the target.
    """
    views, device = settings.eval.views, settings.run.device
    assert views is not None
    found = predict(adapter, EvalLoader(faces, device=device), domain=domain, views=views)
    if product_of(settings) == "none":
        return found
    if isinstance(faces, FeatureSet):
        said = [part.said().features for part in (faces, *(faces.views if views != "none" else ()))]
        other = torch.stack([torch.from_numpy(log_probs).exp() for log_probs in said]).mean(dim=0)
    else:
        model: OtherModel = adapter.misc["product"].to(device)
        with torch.no_grad():
            other = torch.cat([model(batch).float().cpu() for batch in EvalLoader(faces, device=device)])
    scores = _log(found.probs) + settings.eval.product_power * _log(other)
    return Predictions(scores.softmax(dim=1).float(), found.features)


def _log(probs: Tensor) -> Tensor:
    """The logarithm of float32 probabilities, finite even where both factors of a product are rounded to 0."""
    return probs.double().clamp(min=torch.finfo(torch.float32).tiny).log()


def product_of_record(settings: Settings, adapter: LossSlot) -> dict[str, Any] | None:
    """The record's entry for the model that multiplies a run's predictions; None without one, or on frozen features."""
    if "product" not in adapter.misc:
        return None
    return {"power": settings.eval.product_power, "model": adapter.misc["product"].model.settings}


def _start_model(settings: Settings, domain: Domain) -> FaceModel:
    """The pretrained classifier as a model, from the resolved settings of as_is."""
    record: dict[str, Any] = {
        "labels": domain.label_set.to_dict(),
        "settings": settings.to_dict(),
        "data": {"target": {"store": domain.store}},
        "model": {"adjustment": None, "pool": pool_of(settings)},
        "key": "start",
        "versions": versions(),
    }
    start = pretrained_classifier(settings, domain.label_set)
    with fork_rng([]):
        model = FaceModel(model_settings(record))
    fill_backbone(model.models["G"], settings)
    classifier = model.models["C"]
    assert isinstance(classifier, nn.Linear)
    start.require_features(classifier.in_features)
    classifier.load_state_dict({"weight": start.weight, "bias": start.bias})
    return model.eval()
