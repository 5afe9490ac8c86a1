"""The base class of the convolutional part of every backbone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

#: Mean and std of R, G and B in [0, 1] that each family's public weights expect.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # torchvision's and MobileFaceNet's
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # face.evoLVe's IR networks: to [−1, 1]
FACENET = ((0.5, 0.5, 0.5), (128 / 255, 128 / 255, 128 / 255))  # facenet-pytorch: (255·x − 127.5) / 128


class Maps(NamedTuple):
    """The feature maps of N images at three depths."""

    mid: Tensor | None  #: ``(N, C1, S, S)``, for the landmark windows: 28×28 at 112 px
    late: Tensor | None  #: ``(N, C2, s, s)``, about half that side: 14×14
    last: Tensor  #: ``(N, C3, r, r)``: 7×7 or 4×4


class Trunk(nn.Module):
    """Maps images to feature maps: a mid one for the landmarks, a late one, and the last.

    A trunk's ``forward`` takes images ``(N, 3, P, P)`` in [0, 1], passes them through :meth:`normalize`, and returns
    :class:`Maps`; mid or late is None if the network has no such map. Its modules are named as in the network's public
    weights.

    Args:
        statistics: mean and std per channel that the weights expect; constants that are not part of the state dict.
        input_px: P.
        mid_channels: channels of the mid map; None: there is none.
        last_channels: channels of the last map.
        late_channels: channels of the late map; None: there is none.
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
            ValueError: the images are not ``(N, 3, P, P)``.
        """
        size = self.input_px
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"images of shape {tuple(image.shape)}: must be (N, 3, {size}, {size}) for this backbone")
        return (image - self.mean) / self.std  # (N, 3, P, P)
