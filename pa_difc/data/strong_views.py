"""Strong augmentation of faces for self-training: moved, relit and partly covered, on the batch's device.

Each face has its own random numbers, which are drawn beforehand for the whole batch, so that resumed training, and
training divided among processes, see the same views. (torchvision's transforms draw once per batch.)
"""

from __future__ import annotations

from math import radians

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .faces import Face

#: Largest rotation in degrees, relative change of scale, and shift as a share of the side.
TURN, SCALE, SHIFT = 15.0, 0.15, 0.08
#: Largest change of brightness, of contrast and, as exp(±x), of gamma; and of a channel, as a share of brightness's.
LIGHT, CONTRAST, GAMMA, COLOUR = 0.2, 0.4, 0.4, 0.25
#: Range of the sides of the covered rectangle, as shares of the image's side, and the rate of faces with one.
COVERED, COVERS = (0.15, 0.4), 0.5

#: Random numbers per face and view.
DRAWS = 16


def strong_views(faces: Face, draws: Tensor) -> Face:
    """Rotates, scales and shifts faces, changes light and colour, and covers a rectangle on half of them.

    Landmarks move with the image.

    Args:
        faces: a batch ``(N, …)``, which is not changed.
        draws: ``(N, DRAWS)`` random numbers, uniform in [0, 1).
    """
    draws = draws.to(faces.image)
    lit = _lit(faces.image, draws[:, :6])
    return Face(*_moved(_covered(lit, draws[:, 6:12]), faces.landmarks, draws[:, 12:]))


def _between(low: float, high: float, draw: Tensor) -> Tensor:
    return low + (high - low) * draw


def _lit(image: Tensor, draws: Tensor) -> Tensor:
    """Changes gamma, contrast about the face's mean, brightness, and slightly each channel; clamps to [0, 1]."""
    gamma, contrast, light = draws[:, :3, None, None, None].unbind(1)  # (N, 1, 1, 1) each
    colour = _between(-LIGHT * COLOUR, LIGHT * COLOUR, draws[:, 3:6, None, None])  # (N, 3, 1, 1)
    image = image.clamp(min=1e-4) ** _between(-GAMMA, GAMMA, gamma).exp()
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = mean + (image - mean) * _between(1 - CONTRAST, 1 + CONTRAST, contrast)
    return (image + _between(-LIGHT, LIGHT, light) + colour).clamp(0, 1)


def _covered(image: Tensor, draws: Tensor) -> Tensor:
    """Covers a gray rectangle on some faces (random erasing, Zhong et al. 2020, arXiv:1708.04896)."""
    sides = _between(*COVERED, draws[:, :2])  # (N, 2): of rows and columns
    low = draws[:, 2:4] * (1 - sides)
    places = (torch.arange(image.shape[-1], device=image.device) + 0.5) / image.shape[-1]
    inside = (places >= low[..., None]) & (places < (low + sides)[..., None])  # (N, 2, P)
    covered = inside[:, 0, :, None] & inside[:, 1, None, :] & (draws[:, 4, None, None] < COVERS)
    return image.where(~covered[:, None], draws[:, 5, None, None, None])


def _moved(image: Tensor, landmarks: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Rotates, scales and shifts about the centre, repeating border pixels.

    A pixel at x takes its value from A x + b, in units of half a side from the centre; points are mapped inversely.
    """
    side = image.shape[-1]
    angle = _between(-radians(TURN), radians(TURN), draws[:, 0])
    scale = _between(1 - SCALE, 1 + SCALE, draws[:, 1])
    shift = _between(-2 * SHIFT, 2 * SHIFT, draws[:, 2:4])  # (N, 2): b
    cos, sin = angle.cos() / scale, angle.sin() / scale
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)  # (N, 2, 2): A
    grid = affine_grid(torch.cat([turn, shift[:, :, None]], 2), list(image.shape), align_corners=False)
    moved = grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    points = 2 * landmarks / side - 1 - shift[:, None]  # (N, 5, 2)
    points = torch.linalg.solve(turn[:, None].to(points), points[..., None])[..., 0]
    return moved, (points + 1) * side / 2
