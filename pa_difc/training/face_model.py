"""A trained method as one module, from faces to class probabilities."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones.classifiers import rows_of
from ..backbones.places import EXPORTED, OF_RUN
from ..data.faces import Face
from ..data.labels import LabelSet
from ..data.views import views_of
from ..methods.heads import classifier
from ..util.errors import ModelWarning, UserError
from .stored import of_network, read_settings, read_weights, settings_file
from .used_code import edits


class FaceModel(nn.Module):
    """A trained method: maps faces to class probabilities.

    Args:
        settings: as returned by :func:`.model_settings`.

    Raises:
        UserError: the method or the backbone is unknown, or lacks an option.
    """

    scale: float
    bias: Tensor
    ratio: Tensor

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings
        self.labels = LabelSet.from_dict(settings["labels"])
        models, self._infer = _networks(settings["settings"], len(self.labels))
        self.models = nn.ModuleDict(models)
        self.views: str = settings["settings"].get("eval", {}).get("views", "none")
        k = len(self.labels)
        adjustment = settings["adjustment"] or {"scale": 1.0, "bias": [0.0] * k, "ratio": [1.0] * k}
        self.scale = float(adjustment["scale"])
        product = settings.get("product")
        self.product = product and OtherModel(FaceModel(product["model"]), self.labels, "the model that multiplies it")
        self.power: float = product["power"] if product else 0.0
        for name in ("bias", "ratio"):
            self.register_buffer(name, torch.tensor(adjustment[name], dtype=torch.float32), persistent=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.labels.names

    @property
    def size_px(self) -> int:
        """The side of the faces it takes, in pixels."""
        return int(self.settings["input"]["size_px"])

    @property
    def crop_px(self) -> int:
        """Side at which faces are cropped from photographs: that of the training store, from which they are scaled."""
        return int(self.settings["input"].get("stored_px", self.size_px))

    def forward(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """Class probabilities, averaged over the model's views of each face.

        Args:
            image: ``(N, 3, P, P)``, RGB in [0, 1].
            landmarks: ``(N, 5, 2)`` in pixels; not used by a model without landmark branches.

        Returns:
            ``(N, K)``, in the order of :attr:`classes`.
        """
        return self.scores(Face(image, landmarks)).softmax(dim=1)

    def features(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """The features ``(N, D)`` of the unchanged faces, as the classifier gets them.

        Args:
            image, landmarks: as for :meth:`forward`.
        """
        found: Tensor = self._infer(Face(image, landmarks), models=self.models, domain=1)["features"]
        return found

    def take_views(self, views: str) -> None:
        """Changes the views to average over, also for the model whose predictions multiply this one's."""
        self.views = views
        if self.product is not None:
            self.product.model.take_views(views)

    def scores(self, faces: Face) -> Tensor:
        """``(N, K)`` log probabilities of classes, up to a constant per face."""
        views = views_of(faces, self.views)
        log_probs = self._log_probs(views[0] if len(views) == 1 else Face(*map(torch.cat, zip(*views, strict=True))))
        if len(views) > 1:  # log of the sum; the final softmax turns it into the mean
            log_probs = log_probs.view(len(views), -1, len(self.labels)).logsumexp(dim=0)
        if self.product is not None:  # p · q^a
            log_probs = log_probs + self.power * self.product.log_probs(faces)
        # The calibration and ratio of an estimated target prior, if the run had one: p^scale · e^bias · ratio.
        return self.scale * log_probs + self.bias + self.ratio.log()

    def _log_probs(self, faces: Face) -> Tensor:
        logits: Tensor = self._infer(faces, models=self.models, domain=1)["logits"]
        return logits.log_softmax(dim=1)


class OtherModel(nn.Module):
    """A model with its classes mapped to those of a task: a teacher, or a factor of the predictions.

    Args:
        model: the model.
        labels: the task's classes, matched by name.
        origin: what the model is, for errors.

    Raises:
        UserError: a class doesn't match exactly one of the model's.
    """

    def __init__(self, model: FaceModel, labels: LabelSet, origin: str) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.rows = rows_of(labels, model.classes, origin, "use another model")
        self.train(False)

    def train(self, mode: bool = True) -> OtherModel:
        """Stays in eval mode, whatever ``mode`` is."""
        return super().train(False)

    def forward(self, faces: Face) -> Tensor:
        """``(N, K)`` class probabilities, normalised over the task's classes."""
        return self.log_probs(faces).exp()

    def log_probs(self, faces: Face) -> Tensor:
        """``(N, K)`` log probabilities."""
        return self.model.scores(faces)[:, self.rows].log_softmax(dim=1)


def load_model(folder: Path) -> FaceModel:
    """Loads the model from a run's folder or one that ``export`` wrote, in eval mode.

    Warns if the code of a plugin that it needs has changed since the training.

    Raises:
        UserError: there is no model, it is damaged, or it needs a plugin.
    """
    path, settings = settings_file(folder), read_settings(folder)
    try:
        model = FaceModel(settings)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    weights, file = read_weights(folder), folder / EXPORTED[1]
    if path.name != EXPORTED[0]:  # a run's checkpoint has further networks
        file = folder / OF_RUN[1]
        own = {f"models.{n}.{key}": value for n in model.models for key, value in of_network(weights, n).items()}
        weights = own | {key: value for key, value in weights.items() if key.startswith("product.")}
    _fill(model, weights, file)
    for sentence in edits(settings):
        warnings.warn(f"{folder}: {sentence}", ModelWarning, stacklevel=2)
    return model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # as in training


def _networks(settings: Mapping[str, Any], k: int) -> tuple[dict[str, nn.Module], Callable[..., dict[str, Tensor]]]:
    """The untrained networks that a method predicts with, by name, and its inference function."""
    from ..backbones import BACKBONES, make_backbone
    from ..backbones.scale import show_scaled
    from ..methods import METHODS

    chosen, entry = settings["model"], settings["method"]
    for registry, name in ((METHODS, entry["name"]), (BACKBONES, chosen["backbone"])):
        if name not in registry:
            hint = "its plugin is missing: give --plugin FILE.py, or in Python import it first; or install its package"
            raise UserError(f"{registry.kind} {name!r} is unknown: {hint}")
    method = METHODS.lookup(entry["name"])
    backbone = make_backbone(
        chosen["backbone"],
        feature_head=chosen["feature_head"],
        landmark_branch=chosen["landmark_branch"],
        pool=chosen.get("pool", "average"),  # version 0.3 and older wrote neither
        maps=chosen.get("maps", "late"),
        **chosen.get("options", {}),
    )
    show_scaled(backbone, chosen.get("input_scale", 1.0))
    extractor: Any = method.extractor(backbone)
    make = partial(classifier, kind=chosen["classifier"], scale=chosen["scale"])
    heads = method.heads(extractor.num_features, k, make=make, options=method.read_options(entry.get("options", {})))
    models = {"G": extractor, **heads}
    return {name: models[name] for name in method.inference_models}, method.infer


def _fill(model: FaceModel, state: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        why = str(error).splitlines()[-1].strip()[:200]
        raise UserError(f"{path}: the weights do not fit the settings ({why})") from None
