"""A trained model to keep: one folder, one module from faces to probabilities."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..backbones import make_backbone
from ..data import EXPRESSIONS, NUM_CLASSES, Face
from ..data.crops import CROPS
from ..methods import METHODS
from ..methods.heads import classifier
from ..training.checkpoint import read_state
from ..training.record import read_record
from ..training.settings import Config
from ..util.errors import UserError
from ..util.files import file_digest, read_json, write_atomic, write_sealed
from ..util.shapes import COUNT, FLAG, NUMBER, TEXT, Leaf, misfit, one_of

WEIGHTS, SETTINGS = "model.safetensors", "config.json"
DERIVED = ("README.md", "model.onnx", "model.pt2")  #: made from a model's weights, see :mod:`.export`
FORMAT = 1

_POSITIVE = Leaf("a finite number above 0", lambda v: NUMBER.fits(v) and v > 0)
_SHAPE = {
    "format": one_of(FORMAT),
    "classes": (TEXT, NUM_CLASSES),
    "input": {"size_px": COUNT, "crop": one_of(*CROPS), "prepared": FLAG, "landmarks": FLAG},
    "config": {},
    "run": TEXT,
}
_ADJUSTMENT = {"scale": NUMBER, "bias": (NUMBER, NUM_CLASSES), "ratio": (_POSITIVE, NUM_CLASSES)}


class FaceModel(nn.Module):
    """What remains of a method when training is over: faces in, class probabilities out.

    Args:
        settings: as :func:`model_settings` gives them.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings
        config = _config(settings["config"])
        method = METHODS[config.method]
        extractor = make_backbone(config.backbone, head=config.backbone_head, local_head=config.local_head)
        extractor = method.extractor(extractor)
        k = len(settings["classes"])
        heads = method.heads(extractor.num_features, k, lambda d, n: classifier(d, n, config.head, config.scale))
        models = {"G": extractor, **heads}
        self.models = nn.ModuleDict({name: models[name] for name in method.inference_models})
        self._infer = method.infer
        adjustment = settings["adjustment"] or {"scale": 1.0, "bias": [0.0] * k, "ratio": [1.0] * k}
        self.scale = float(adjustment["scale"])
        for name in ("bias", "ratio"):
            self.register_buffer(name, torch.tensor(adjustment[name]), persistent=False)

    @property
    def size_px(self) -> int:
        """The side of the faces it takes."""
        return self.settings["input"]["size_px"]

    def forward(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """Class probabilities.

        Args:
            image: ``(N, 3, P, P)``, RGB in [0, 1].
            landmarks: ``(N, 5, 2)`` in pixels; not looked at by a model without landmark branches.

        Returns:
            ``(N, K)``, in the order of ``settings["classes"]``.
        """
        log_probs = self._infer(Face(image, landmarks), models=self.models, domain=1)["logits"].log_softmax(dim=1)
        # The calibration and ratio of an estimated target prior, if the run had one: p^scale · e^bias · ratio.
        return (self.scale * log_probs + self.bias + self.ratio.log()).softmax(dim=1)


def model_settings(record: dict[str, Any]) -> dict[str, Any]:
    """What a model's folder says about it, out of its run's record."""
    store = record["data"]["target"].get("store") or {}
    adjustment = record["model"]["adjustment"]
    if adjustment and not adjustment["refused"]:
        adjustment = {"ratio": adjustment["ratio"], **adjustment["calibration"]}
    else:
        adjustment = None
    config = record["config"]
    return {
        "format": FORMAT,
        "classes": list(EXPRESSIONS),
        "input": {
            "size_px": config["crop_px"],
            "crop": store.get("crop", "cdfer"),
            "prepared": bool(store),
            "landmarks": config["backbone_head"] == "global_local",
        },
        "config": {k: v for k, v in config.items() if k not in ("data_root", "pretrained", "device")},
        "adjustment": adjustment,
        "run": record["key"],
        "versions": record["versions"],
    }


def load_model(folder: Path) -> FaceModel:
    """The model of a run's folder, or of a folder that :func:`save_model` wrote; in eval mode.

    Raises:
        UserError: there is no model, or it is damaged.
    """
    if (folder / SETTINGS).exists():
        settings = read_json(folder / SETTINGS)
        model = _model(settings, folder / SETTINGS)
        weights = _weights(folder / WEIGHTS)
        if "weights" in settings and file_digest(folder / WEIGHTS) != settings["weights"]:
            raise UserError(f"{folder / WEIGHTS} does not belong to its {SETTINGS}, or is damaged: export it again")
        _fill(model, weights, folder / WEIGHTS)
    elif (folder / "record.json").exists():
        path = folder / "record.json"
        try:
            settings = model_settings(read_record(path))
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: it does not say how its model is made") from None
        model = _model(settings, path)
        state = read_state(folder / "checkpoint.pt")["models"]
        try:
            flat = {f"models.{n}.{k}": v for n in model.models for k, v in state[n].items()}
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{folder / 'checkpoint.pt'}: it has no weights of {', '.join(model.models)}") from None
        _fill(model, flat, folder / "checkpoint.pt")
    else:
        raise UserError(f"{folder}: no model here (looked for {SETTINGS}, and for record.json of a finished run)")
    return model.eval()


def save_model(model: FaceModel, folder: Path) -> None:
    """Writes weights and settings; the settings, which hold the weights' hash, come last.

    Raises:
        UserError: a file can't be written.
    """
    weights = save({k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()})
    if (folder / WEIGHTS).is_file() and (folder / WEIGHTS).read_bytes() != weights:
        for name in DERIVED:  # of another model: they must not stand beside this one
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / WEIGHTS, lambda file: file.write(weights))
    write_sealed(folder / SETTINGS, model.settings | {"weights": file_digest(folder / WEIGHTS)})


def _model(settings: Any, path: Path) -> FaceModel:
    """The model of settings that come from a file, without its weights."""
    problem = misfit(settings, _SHAPE)
    if problem is None and settings.get("adjustment") is not None:
        problem = misfit(settings["adjustment"], _ADJUSTMENT, "adjustment")
    if problem is None and settings["config"].get("crop_px") != settings["input"]["size_px"]:
        problem = "input.size_px is not config.crop_px"
    if problem:
        raise UserError(f"{path}: not the settings of a model of format {FORMAT} ({problem})")
    try:
        return FaceModel({"adjustment": None, **{k: v for k, v in settings.items() if k != "weights"}})
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _config(values: dict[str, Any]) -> Config:
    known = {f.name for f in fields(Config)}
    if unknown := sorted(set(values) - known):
        raise UserError(f"model of another version: unknown settings {', '.join(unknown)}")
    weights = values.get("class_weights")
    config = replace(Config(), **{**values, "class_weights": tuple(weights) if isinstance(weights, list) else weights})
    return config


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:  # a damaged file can make the reader raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"cannot read {path}: {reason}") from None


def _fill(model: FaceModel, state: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        why = str(error).splitlines()[-1].strip()[:200]
        raise UserError(f"{path}: the weights do not fit the settings ({why})") from None
