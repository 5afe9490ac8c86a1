"""A trained model to keep: one folder."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save

from ..backbones.places import EXPORTED
from ..training.face_model import FaceModel, load_model
from ..util.files import file_digest, write_atomic, write_sealed

__all__ = ["DERIVED", "SETTINGS", "WEIGHTS", "FaceModel", "load_model", "save_model"]

SETTINGS, WEIGHTS = EXPORTED
DERIVED = ("README.md", "model.onnx", "model.pt2")  #: made from a model's weights, see :mod:`.export`


def weights_file(model: FaceModel) -> bytes:
    """The content of the file of weights, the same for the same weights."""
    return save({k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()})


def save_model(model: FaceModel, folder: Path) -> None:
    """Writes weights and settings; the settings, which hold the weights' hash, come last.

    Raises:
        UserError: a file can't be written.
    """
    weights = weights_file(model)
    if (folder / WEIGHTS).is_file() and (folder / WEIGHTS).read_bytes() != weights:
        for name in DERIVED:  # of another model: they must not stand beside this one
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / WEIGHTS, lambda file: file.write(weights))
    write_sealed(folder / SETTINGS, model.settings | {"weights": file_digest(folder / WEIGHTS)})
