"""Views of faces for prediction: mirrored, and scaled about the centre, with their landmarks."""

from __future__ import annotations

import torch
from torch import Tensor

from .faces import MIRRORED, Face

#: The choices of views to average a prediction over.
VIEWS = ("none", "flip", "flip+scales")

#: The scale of the scaled views: the face at nine tenths of its size.
LOOSER = 0.9


def views_of(faces: Face, views: str) -> list[Face]:
    """The views of a batch to average predictions over, the plain faces first.

    Args:
        faces: a batch ``(N, ...)``.
        views: "none", the faces alone; "flip", also their mirror images; "flip+scales", also both scaled by
            :data:`LOOSER`.

    Returns:
        1, 2 or 4 batches of the same size.
    """
    if views == "none":
        return [faces]
    both = [faces, mirrored(faces)]
    return both if views == "flip" else [*both, *(scaled(view, LOOSER) for view in both)]


def mirrored(faces: Face) -> Face:
    """The mirror images of a batch: image, landmark positions and landmark order (the left eye becomes the right one).

    Args:
        faces: a batch ``(N, ...)``.
    """
    points = faces.landmarks[:, list(MIRRORED)]
    width = faces.image.shape[-1]
    return Face(faces.image.flip(-1), torch.stack([width - points[..., 0], points[..., 1]], dim=-1))


def scaled(faces: Face, scale: float) -> Face:
    """Scales a batch about the images' centre, within images of the same size: bilinear, border pixels repeated.

    It consists of two matrix products, which every export format supports; unlike :func:`.augment.zoom_faces`, it has
    one factor for all faces.

    Args:
        faces: a batch ``(N, ...)``.
        scale: 0.9 makes a face smaller, with more around it, like a looser crop; 1.1 is like a tighter one.
    """
    width = faces.image.shape[-1]
    weights = _resampling(width, scale, faces.image)
    image = weights @ faces.image @ weights.T  # rows, columns
    return Face(image, (faces.landmarks - width / 2) * scale + width / 2)


def _resampling(width: int, scale: float, like: Tensor) -> Tensor:
    """The weights ``(P, P)`` of each old pixel (column) in each new one (row), along one axis."""
    pixels = torch.arange(width, dtype=like.dtype, device=like.device)
    centre = (width - 1) / 2
    places = ((pixels - centre) / scale + centre).clamp(0, width - 1)  # of new pixels among the old ones
    return (1 - (places[:, None] - pixels).abs()).clamp(min=0)
