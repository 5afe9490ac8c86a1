"""What the convolutional part of every backbone has in common."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

#: R, G and B of images in [0, 1], as the public weights of each family expect them.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # torchvision's and MobileFaceNet's
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # face.evoLVe's IR networks: to [−1, 1]
FACENET = ((0.5, 0.5, 0.5), (128 / 255, 128 / 255, 128 / 255))  # facenet-pytorch: (255·x − 127.5) / 128


class Maps(NamedTuple):
    """The feature maps of N images at three depths."""

    mid: Tensor | None  #: ``(N, C1, S, S)``, where the landmarks are looked up: 28×28 at 112 px
    late: Tensor | None  #: ``(N, C2, s, s)`` of half that side or the nearest that the network has: 14×14
    last: Tensor  #: ``(N, C3, r, r)``: 7×7 or 4×4


class Trunk(nn.Module):
    """Images to feature maps: one half way, for the landmarks, a later one, and the last.

    A trunk's ``forward`` takes images ``(N, 3, P, P)`` in [0, 1], which it passes through :meth:`normalize`, and
    gives :class:`Maps`; mid or late is None in a network without such a map. Its modules carry the names that the
    network's public weights have.

    Args:
        statistics: mean and std per channel that the weights expect. They are constants of the code, so they are
            not part of the state dict.
        input_px: P.
        mid_channels: of the map half way; None: there is none.
        last_channels: of the last map.
        late_channels: of the map between them; None: there is none.
    """

    mean: Tensor  #: ``(3, 1, 1)``
    std: Tensor  #: ``(3, 1, 1)``

    def __init__(
        self,
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
        *,
        input_px: int,
        mid_channels: int | None,
        last_channels: int,
        late_channels: int | None = None,
    ) -> None:
        super().__init__()
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.input_px = input_px
        self.mid_channels = mid_channels
        self.late_channels = late_channels
        self.last_channels = last_channels

    def normalize(self, image: Tensor) -> Tensor:
        """``(x − mean) / std`` per channel.

        Raises:
            ValueError: the images are not of the size this network takes.
        """
        size = self.input_px
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"images of shape {tuple(image.shape)}: must be (N, 3, {size}, {size}) for this backbone")
        return (image - self.mean) / self.std  # (N, 3, P, P)
