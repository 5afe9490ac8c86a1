"""Describes a model's preprocessing for other programs, and checks that a folder's description is of its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..backbones.places import EXPORTED
from ..data.crops import ALIGNED_POINTS, typical_points
from ..training.model_settings import face_crop
from ..util.errors import UserError
from ..util.files import read_json

if TYPE_CHECKING:
    from .model import FaceModel

#: The file's name, which other programs know.
PREPROCESSOR = "preprocessor_config.json"
_TEMPLATE_PX = 112
_CROPS = {
    "cdfer": "the detector's box, int(0.5 * int(0.2 * side)) pixels wider on each side, clipped to the image; "
    "each side is stretched to the size of the input",
    "arcface": "the five points are moved onto `points` by rotation, scale and shift, in least squares",
    "none": "the whole image; each side is stretched to the size of the input",
}
_AS_THEY_ARE = (
    "the largest square in the middle of the image: faces were not detected in its training images; from photographs, "
    "`pa-difc predict` crops them as `crop` in `input` of config.json says"
)
#: The entries that say what the network takes; the others explain.
_TAKEN = (
    *("do_convert_rgb", "do_resize", "size", "resample", "do_rescale", "rescale_factor", "do_normalize"),
    *("normalized_inside", "channel_order", "layout", "range", "input_scale", "views"),
)
_TAKEN_CROP = ("name", "margin", "points", "stored_px")


def preprocessor_config(model: FaceModel) -> dict[str, Any]:
    """How a face becomes a model's input: the Hugging Face hub's keys for a face crop, and how the crop is made.

    ``do_normalize`` is false because the network normalises its input itself, by ``normalized_inside``.
    """
    p = model.size_px
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": p, "width": p},
        "resample": 2,  # Pillow's BILINEAR
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": False,
        "normalized_inside": _statistics(model),
        "interpolation": "bilinear, as Pillow resizes: averaged over a wider window where the image is made smaller",
        "channel_order": "RGB",
        "layout": "NCHW",
        "range": [0.0, 1.0],
        "orientation": "upright: EXIF is applied first",
        "face_crop": _face_crop(model),
        "input_scale": model.settings["settings"]["model"].get("input_scale", 1.0),
        "views": model.views,
    }


def require_agreement(folder: Path, model: FaceModel) -> None:
    """Refuses a folder whose :data:`PREPROCESSOR` describes other inputs than its model takes.

    What is not in it, and what others have added to it, is not compared.

    Args:
        folder: of the model.
        model: with its own views.

    Raises:
        UserError: the two differ, or the file can't be read.
    """
    path = folder / PREPROCESSOR
    if not path.exists():
        return
    said, right = read_json(path, others_add=True), preprocessor_config(model)
    crop = said.get("face_crop", {}) if isinstance(said, dict) else None
    if not isinstance(crop, dict):
        raise UserError(f"{path}: not a description of a model's input; export the model again")
    pairs = [(key, said.get(key, right[key]), right[key]) for key in _TAKEN]
    own = right["face_crop"]
    pairs += [(f"face_crop.{key}", crop.get(key, own.get(key)), own.get(key)) for key in _TAKEN_CROP]
    for key, value, needed in pairs:
        if value != needed:
            line = f"{path}: {key} is {value!r:.80}, but by its {EXPORTED[0]} the model takes {needed!r:.80}"
            raise UserError(f"{line}; change it back, or export the model again")


def _face_crop(model: FaceModel) -> dict[str, Any]:
    """How faces are cropped from photographs; for "arcface", with the places of the five points in the crop."""
    given, p = model.settings["input"], model.size_px
    if not given["prepared"]:
        return {"name": face_crop(model.settings), "about": _AS_THEY_ARE, "detector": None}
    crop: dict[str, Any] = {"name": given["crop"], "about": _CROPS[given["crop"]], "detector": None}
    if given["crop"] != "none":
        crop["detector"] = "MTCNN of facenet-pytorch 2.5.3"
    if given["crop"] == "cdfer":
        crop["margin"] = 0.1
    if given["crop"] == "arcface":
        crop["points"] = _rounded(ALIGNED_POINTS * (p / _TEMPLATE_PX))
    if model.crop_px != p:
        crop["stored_px"] = model.crop_px  # cropped at this side first, then scaled
    return crop


def landmark_places(model: FaceModel) -> list[list[float]]:
    """Typical places ``(5, 2)`` of the eyes, the nose and the mouth corners in a crop, in pixels."""
    return _rounded(typical_points(model.settings["input"]["crop"], model.size_px))


def _rounded(points: Any) -> list[list[float]]:
    return [[round(float(value), 3) for value in point] for point in points]


def _statistics(model: FaceModel) -> dict[str, list[float]] | None:
    """The mean and standard deviation by channel that the network normalises with; None if it does not expose them."""
    for module in model.models.modules():
        mean, std = (_channels(getattr(module, name, None)) for name in ("mean", "std"))
        if mean and std:
            return {"mean": mean, "std": std}
    return None


def _channels(values: Any) -> list[float] | None:
    if not isinstance(values, float | Tensor):
        return None
    flat = torch.as_tensor(values).reshape(-1)
    return [round(value, 6) for value in flat.expand(3).tolist()] if len(flat) in (1, 3) else None
