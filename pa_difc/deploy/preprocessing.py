"""Describes a model's preprocessing for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..data.crops import ALIGNED_POINTS, typical_points

if TYPE_CHECKING:
    from .model import FaceModel

_TEMPLATE_PX = 112
_CROPS = {
    "cdfer": "the detector's box, int(0.5 * int(0.2 * side)) pixels wider on each side, clipped to the image; "
    "each side is stretched to the size of the input",
    "arcface": "the five points are moved onto `points` by rotation, scale and shift, in least squares",
    "none": "the whole image; each side is stretched to the size of the input",
}
_AS_THEY_ARE = "the largest square in the middle of the image: faces were not detected in its training images"


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


def _face_crop(model: FaceModel) -> dict[str, Any]:
    """How faces are cropped from photographs; for "arcface", with the places of the five points in the crop."""
    given, p = model.settings["input"], model.size_px
    if not given["prepared"]:
        return {"name": "centre square", "about": _AS_THEY_ARE, "detector": None}
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
