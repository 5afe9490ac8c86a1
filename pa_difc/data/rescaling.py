"""Scales stored faces to a network's size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate


def rescaled(images: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Faces at another size: bilinear, averaged over a wider window where they are made smaller.

    Args:
        images: ``(N, 3, P, P)``.
        size_px: the new side.
    """
    faces = torch.from_numpy(images).float()
    faces = interpolate(faces, size=(size_px, size_px), mode="bilinear", antialias=True)
    scaled: NDArray[np.uint8] = faces.round_().clamp_(0, 255).byte().numpy()
    return scaled
