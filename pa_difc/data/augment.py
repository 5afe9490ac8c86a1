"""Zooming into a batch of faces, on the batch's device."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .faces import Face

#: The protocol's largest zoom into "cdfer" crops: on each side it cuts away at most the padding, a tenth of the box.
PROTOCOL_ZOOM = 1 / 12


def zoom_faces(faces: Face, cut: Tensor) -> Face:
    """Zooms into each face of a batch, symmetrically: image (bilinear) and landmark positions.

    This is the CD-FER benchmark's jitter: the crop loses a random part of the box's padding, the same on each side.

    Args:
        faces: a batch ``(N, ...)``.
        cut: ``(N,)`` in [0, 0.5): share of the side to cut away on each side; 0 leaves a face unchanged.
    """
    width = faces.image.shape[-1]
    keep = 1 - 2 * cut.to(faces.image)
    turn = torch.zeros(len(keep), 2, 3, device=keep.device, dtype=keep.dtype)
    turn[:, 0, 0] = turn[:, 1, 1] = keep
    grid = affine_grid(turn, list(faces.image.shape), align_corners=False)
    image = grid_sample(faces.image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    centre = width / 2
    return Face(image, (faces.landmarks - centre) / keep[:, None, None] + centre)
