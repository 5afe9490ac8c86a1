"""Other models of ours beside the one that is trained: teachers, and those whose predictions multiply its own."""

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
    """The model of a folder, its views and its corrected prior included, under the classes of a task.

    Args:
        folder: of a finished run, or one that ``export`` wrote.
        domain: data of the task.

    Raises:
        UserError: there is no model, its classes are others, or it was made for faces that were cut out otherwise.
    """
    with fork_rng([]):  # its weights are drawn before they are read: training draws as it would without
        model = load_model(folder)
    given, store = model.settings["input"], domain.store
    if given["prepared"] and store and given["crop"] != store["crop"]:
        raise UserError(
            f"the model of {folder} takes faces cut out as {given['crop']}, and {domain.name} is cut out as "
            f"{store['crop']}: prepare it with --crop {given['crop']}, or use another model"
        )
    return OtherModel(model, domain.label_set, f"the model of {folder}")


def product_model(settings: Settings, domain: Domain) -> OtherModel | None:
    """The model whose predictions multiply those of a run on faces, for resolved settings; None: there is none.

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
    """What a run predicts in the end: the mean over its views, times what it is multiplied by.

    p ∝ p_run · q^a, with the probabilities q of ``eval.product`` and a = ``eval.product_power``.

    Args:
        adapter: a trained method.
        faces: what is predicted; frozen features know what the pretrained classifier has said of them.
        settings: resolved; says views, product and device.
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
    """The logarithm of probabilities in float32, where two models may have rounded all of a product to 0."""
    return probs.double().clamp(min=torch.finfo(torch.float32).tiny).log()


def product_of_record(settings: Settings, adapter: LossSlot) -> dict[str, Any] | None:
    """What a record says of the model that multiplies a run's predictions; None: there is none, or frozen features."""
    if "product" not in adapter.misc:
        return None
    return {"power": settings.eval.product_power, "model": adapter.misc["product"].model.settings}


def _start_model(settings: Settings, domain: Domain) -> FaceModel:
    """The pretrained classifier of resolved settings of as_is, as a model."""
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
