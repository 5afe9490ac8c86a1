"""IR-50 and IR-18, the "improved residual" face networks of ArcFace (Deng et al. 2019, arXiv:1801.07698)."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from .trunk import SYMMETRIC, Trunk

_WIDTHS = (64, 128, 256, 512)


class GroupedConv2d(nn.Conv2d):
    """A convolution without bias whose groups are computed one after the other where that is faster.

    On a CPU a wide grouped convolution takes twice the time of its groups alone (five branches of IR units: 2.0 against
    1.0 s a step); on CUDA one call is right.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.groups == 1 or x.device.type != "cpu":
            return super().forward(x)
        parts = zip(x.chunk(self.groups, dim=1), self.weight.chunk(self.groups), strict=True)
        return torch.cat([conv2d(part, weight, None, self.stride, self.padding) for part, weight in parts], dim=1)


class IRUnit(nn.Module):
    """BN – Conv3×3 – PReLU – Conv3×3 with the stride – BN, added to the input or a 1×1 projection of it.

    Args:
        channels_in: of the input, all groups together.
        channels_out: of the output, all groups together.
        stride: of the second convolution and the shortcut.
        groups: units side by side that do not see each other. BatchNorm and PReLU work per channel anyway, so this
            equals that many separate units.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.shortcut_layer = (
            nn.MaxPool2d(1, stride)
            if channels_in == channels_out
            else nn.Sequential(
                GroupedConv2d(channels_in, channels_out, 1, stride, groups=groups, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            GroupedConv2d(channels_in, channels_out, 3, 1, 1, groups=groups, bias=False),
            nn.PReLU(channels_out),
            GroupedConv2d(channels_out, channels_out, 3, stride, 1, groups=groups, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut_layer(x) + self.res_layer(x)


class IRTrunk(Trunk):
    """A stem and four stages of IR units, the first of each with stride 2: 112 → 56 → 28 → 14 → 7.

    The keys are those of face.evoLVe's checkpoints: ``input_layer.*``, ``body.N.*``. Gives the 28×28×128 map of
    stage 2 and the 7×7×512 map of stage 4 (Sreenivas et al. 2022, section 5.2).

    Args:
        units: of each stage.
    """

    def __init__(self, units: tuple[int, int, int, int]) -> None:
        super().__init__(SYMMETRIC, input_px=112, mid_channels=128, last_channels=512)
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        inputs = (64, *_WIDTHS)
        stages = (_stage(i, o, n) for i, o, n in zip(inputs, _WIDTHS, units, strict=False))
        self.body = nn.Sequential(*chain.from_iterable(stages))
        self.mid_units = units[0] + units[1]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.input_layer(self.normalize(image))  # (N, 64, 112, 112)
        mid = self.body[: self.mid_units](x)  # (N, 128, 28, 28)
        return mid, self.body[self.mid_units :](mid)  # (N, 512, 7, 7)


def ir50() -> IRTrunk:
    """The paper's backbone: 3 + 4 + 14 + 3 units."""
    return IRTrunk((3, 4, 14, 3))


def ir18() -> IRTrunk:
    """The smaller one of the paper's Table 5: 2 + 2 + 2 + 2 units."""
    return IRTrunk((2, 2, 2, 2))


def _stage(channels_in: int, channels_out: int, units: int) -> list[IRUnit]:
    rest = [IRUnit(channels_out, channels_out, stride=1) for _ in range(units - 1)]
    return [IRUnit(channels_in, channels_out, stride=2), *rest]
