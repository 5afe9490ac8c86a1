"""Strong views of faces for self-training: moved, lit anew and partly covered, on the batch's device.

Each face has draws of its own, which are made for a whole batch beforehand, so that training that is resumed, or
divided among processes, sees the same views. (torchvision's transforms draw once for all of a batch.)
"""

from __future__ import annotations

from math import radians

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .faces import Face

#: Largest turn in degrees, change of scale, and shift as a share of the side.
TURN, SCALE, SHIFT = 15.0, 0.15, 0.08
#: Largest change of brightness, of contrast and, by exp(±x), of gamma; of each colour as a share of the brightness's.
LIGHT, CONTRAST, GAMMA, COLOUR = 0.2, 0.4, 0.4, 0.25
#: Sides of the rectangle that is covered, as shares of the image's, and how often there is one.
COVERED, COVERS = (0.15, 0.4), 0.5

#: Numbers in [0, 1) that a face's view is made from.
DRAWS = 16


def strong_views(faces: Face, draws: Tensor) -> Face:
    """A batch of faces turned, scaled, shifted, with other light and colour, half of them with a rectangle covered.

    Landmarks move with the image.

    Args:
        faces: a batch ``(N, …)``; it is not changed.
        draws: ``(N, DRAWS)`` uniform in [0, 1).
    """
    draws = draws.to(faces.image)
    lit = _lit(faces.image, draws[:, :6])
    return Face(*_moved(_covered(lit, draws[:, 6:12]), faces.landmarks, draws[:, 12:]))


def _between(low: float, high: float, draw: Tensor) -> Tensor:
    return low + (high - low) * draw


def _lit(image: Tensor, draws: Tensor) -> Tensor:
    """Gamma, contrast about the face's mean, brightness and a little of another colour; in [0, 1] again."""
    gamma, contrast, light = draws[:, :3, None, None, None].unbind(1)  # (N, 1, 1, 1) each
    colour = _between(-LIGHT * COLOUR, LIGHT * COLOUR, draws[:, 3:6, None, None])  # (N, 3, 1, 1)
    image = image.clamp(min=1e-4) ** _between(-GAMMA, GAMMA, gamma).exp()
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = mean + (image - mean) * _between(1 - CONTRAST, 1 + CONTRAST, contrast)
    return (image + _between(-LIGHT, LIGHT, light) + colour).clamp(0, 1)


def _covered(image: Tensor, draws: Tensor) -> Tensor:
    """A gray rectangle on some of the faces (random erasing, Zhong et al. 2020, arXiv:1708.04896)."""
    sides = _between(*COVERED, draws[:, :2])  # (N, 2): of rows and columns
    low = draws[:, 2:4] * (1 - sides)
    places = (torch.arange(image.shape[-1], device=image.device) + 0.5) / image.shape[-1]
    inside = (places >= low[..., None]) & (places < (low + sides)[..., None])  # (N, 2, P)
    covered = inside[:, 0, :, None] & inside[:, 1, None, :] & (draws[:, 4, None, None] < COVERS)
    return image.where(~covered[:, None], draws[:, 5, None, None, None])


def _moved(image: Tensor, landmarks: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Turned, scaled and shifted about the centre, border pixels repeated.

    A pixel at x comes from A x + b, in units of half a side from the centre; points go the other way.
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
