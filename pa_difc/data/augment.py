"""What training does to a batch of faces, on the batch's device."""

import torch
from torch import Tensor

from .faces import MIRRORED, Face


def flip_faces(faces: Face, flipped: Tensor) -> Face:
    """Mirrors some faces of a batch: image, landmark positions and landmark order.

    Differs from the CD-FER benchmark and its descendants, which mirror x and leave the order: their left-eye branch
    sees right eyes half of the time.

    Args:
        faces: a batch ``(N, ...)``.
        flipped: ``(N,)`` bool, which ones to mirror.
    """
    width = faces.image.shape[-1]
    image = torch.where(flipped[:, None, None, None], faces.image.flip(-1), faces.image)
    mirrored = faces.landmarks[:, list(MIRRORED)].clone()  # (N, 5, 2)
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return Face(image, torch.where(flipped[:, None, None], mirrored, faces.landmarks))
