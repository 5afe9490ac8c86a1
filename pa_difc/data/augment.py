"""What training does to a batch of faces, on the batch's device."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .faces import MIRRORED, Face

#: The protocol's zoom into crops of "cdfer": at most the padding, a tenth of the box's side, on each side.
PROTOCOL_ZOOM = 1 / 12


def flip_faces(faces: Face, flipped: Tensor) -> Face:
    """Mirrors some faces of a batch: image, landmark positions and landmark order.

    Differs from the CD-FER benchmark and its descendants, which mirror x and leave the order: their left-eye branch
    sees right eyes half of the time.

    Args:
        faces: a batch ``(N, ...)``.
        flipped: ``(N,)`` bool, which ones to mirror.
    """
    width = faces.image.shape[-1]
    # Exact at 0 and 1, and twice as fast on a CPU as a choice by a broadcast mask.
    image = faces.image.lerp(faces.image.flip(-1), flipped[:, None, None, None].to(faces.image.dtype))
    mirrored = faces.landmarks[:, list(MIRRORED)]  # (N, 5, 2)
    mirrored[..., 0] = width - mirrored[..., 0]
    return Face(image, torch.where(flipped[:, None, None], mirrored, faces.landmarks))


def zoom_faces(faces: Face, cut: Tensor) -> Face:
    """Zooms into each face of a batch, symmetrically: image (bilinear) and landmark positions.

    The CD-FER benchmark's jitter: the box is drawn in by a random part of its padding, the same on each side.

    Args:
        faces: a batch ``(N, ...)``.
        cut: ``(N,)`` in [0, 0.5): what is cut away on each side, as a share of the side; 0 leaves a face as it is.
    """
    width = faces.image.shape[-1]
    keep = 1 - 2 * cut.to(faces.image)
    turn = torch.zeros(len(keep), 2, 3, device=keep.device, dtype=keep.dtype)
    turn[:, 0, 0] = turn[:, 1, 1] = keep
    grid = affine_grid(turn, list(faces.image.shape), align_corners=False)
    image = grid_sample(faces.image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    centre = width / 2
    return Face(image, (faces.landmarks - centre) / keep[:, None, None] + centre)
