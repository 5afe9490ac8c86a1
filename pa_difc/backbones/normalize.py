"""What a network's public weights expect of the image's numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Shifts and scales images by the statistics of the weights: ``(x − mean) / std`` per channel.

    The statistics are constants of the code, so they are not part of the state dict.

    Args:
        mean: of R, G and B, for images in [0, 1].
        std: likewise.
    """

    mean: Tensor  #: ``(3, 1, 1)``
    std: Tensor  #: ``(3, 1, 1)``

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std  # (N, 3, P, P)


def imagenet() -> Normalize:
    """ImageNet's statistics: torchvision's weights and the public MobileFaceNet's."""
    return Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def symmetric() -> Normalize:
    """To [−1, 1]: face.evoLVe's IR networks."""
    return Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def facenet() -> Normalize:
    """``(255·x − 127.5) / 128``, not quite [−1, 1]: facenet-pytorch."""
    return Normalize((0.5, 0.5, 0.5), (128 / 255, 128 / 255, 128 / 255))
