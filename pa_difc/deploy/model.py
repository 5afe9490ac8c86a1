"""Saves a trained model as one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save

from ..backbones.places import EXPORTED
from ..training.face_model import FaceModel, load_model
from ..training.model_settings import face_crop, names_by_id
from ..training.seals import SEALS, digests
from ..util.files import file_digest, read_json, write_atomic, write_json

__all__ = ["DERIVED", "SETTINGS", "WEIGHTS", "FaceModel", "load_model", "save_model"]

SETTINGS, WEIGHTS = EXPORTED
#: Files that hold a model's predictions and the names of its classes.
PROGRAMS = ("model.onnx", "use_onnx.py", "model.pt2")
#: Files made from a model's weights and settings; see :mod:`.export`.
DERIVED = ("README.md", "preprocessor_config.json", *PROGRAMS)
#: The settings that probabilities depend on, besides the weights.
_OF_THE_MODEL = ("labels", "input", "settings", "adjustment", "product")


def weights_file(model: FaceModel) -> bytes:
    """The content of the weights' file: the same bytes for the same weights."""
    return save({k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()})


def save_model(model: FaceModel, folder: Path) -> None:
    """Writes weights and settings; the settings come last, because they hold the weights' hash.

    Keys that users added to the settings of the same model are kept. Another model's derived files are removed, and so
    are programs of this one from before a change that was made on purpose, such as other names of its classes.

    Args:
        model: the model.
        folder: is created if needed.

    Raises:
        UserError: a file can't be written, or existing settings can't be read.
    """
    weights = weights_file(model)
    before = _settings_of_same(model, folder, weights)
    made, seals = DERIVED if before is None else PROGRAMS, digests(model.settings)
    if (folder / WEIGHTS).is_file() and (before is None or before.get(SEALS, seals) != seals):
        for name in made:  # of another model, or of this one before a change: they must not stay beside its weights
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / WEIGHTS, lambda file: file.write(weights))
    sealed = {"weights": file_digest(folder / WEIGHTS), SEALS: seals}
    own = model.settings | names_by_id(model.labels) | {"face_crop": face_crop(model.settings)} | sealed
    write_json(folder / SETTINGS, own | {key: value for key, value in (before or {}).items() if key not in own})


def _settings_of_same(model: FaceModel, folder: Path, weights: bytes) -> dict[str, Any] | None:
    """The settings in a folder, if they and the weights beside them are this model's; else None."""
    if not (folder / SETTINGS).is_file() or not (folder / WEIGHTS).is_file():
        return None
    before = read_json(folder / SETTINGS, others_add=True)
    same = isinstance(before, dict) and all(before.get(key) == model.settings.get(key) for key in _OF_THE_MODEL)
    return before if same and (folder / WEIGHTS).read_bytes() == weights else None
