"""Views of faces for prediction: mirrored, and scaled about the centre; landmarks go with the image."""

from __future__ import annotations

import torch
from torch import Tensor

from .faces import MIRRORED, Face

#: Which views of a face a prediction is averaged over.
VIEWS = ("none", "flip", "flip+scales")

#: The scale of the smaller views: the face at nine tenths of its size.
LOOSER = 0.9


def views_of(faces: Face, views: str) -> list[Face]:
    """The views of a batch that predictions are averaged over, the faces as they are first.

    Args:
        faces: a batch ``(N, ...)``.
        views: "none"; "flip", the faces and their mirror images; "flip+scales", these two and both scaled by
            :data:`LOOSER`.

    Returns:
        1, 2 or 4 batches of the same size.
    """
    if views == "none":
        return [faces]
    both = [faces, mirrored(faces)]
    return both if views == "flip" else [*both, *(scaled(view, LOOSER) for view in both)]


def mirrored(faces: Face) -> Face:
    """The mirror images of a batch: image, landmark positions, and landmark names: the left eye becomes the right one.

    Args:
        faces: a batch ``(N, ...)``.
    """
    points = faces.landmarks[:, list(MIRRORED)]
    width = faces.image.shape[-1]
    return Face(faces.image.flip(-1), torch.stack([width - points[..., 0], points[..., 1]], dim=-1))


def scaled(faces: Face, scale: float) -> Face:
    """A batch scaled about the images' centre, in images of the same size: bilinear, border pixels repeated.

    As two products with a matrix, which every format of an exported model has; the benchmark's random zoom
    (:func:`.augment.zoom_faces`) takes another factor for each face.

    Args:
        faces: a batch ``(N, ...)``.
        scale: 0.9 makes a face smaller, with more around it, as a looser crop does; 1.1 is a tighter one.
    """
    width = faces.image.shape[-1]
    weights = _resampling(width, scale, faces.image)
    image = weights @ faces.image @ weights.T  # rows, columns
    return Face(image, (faces.landmarks - width / 2) * scale + width / 2)


def _resampling(width: int, scale: float, like: Tensor) -> Tensor:
    """``(P, P)``: how much of each old pixel goes into each new one, along one axis."""
    pixels = torch.arange(width, dtype=like.dtype, device=like.device)
    centre = (width - 1) / 2
    places = ((pixels - centre) / scale + centre).clamp(0, width - 1)  # of new pixels among the old ones
    return (1 - (places[:, None] - pixels).abs()).clamp(min=0)
