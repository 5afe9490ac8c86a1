"""MobileFaceNet, the small face-recognition network (Chen et al. 2018, arXiv:1804.07573)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from .extractor import extractor_on
from .spec import BackboneSpec
from .trunk import IMAGENET, Maps, Trunk

#: (expansion, channels, blocks, stride of the first block) of each stage of bottlenecks.
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
_MID_BLOCKS = 5  # the first stage: up to here the map is 28×28
_LATE_BLOCKS = 12  # two more: up to here it is 14×14


class MobileFaceNetTrunk(Trunk):
    """The convolutions of MobileFaceNet, with maps of 28×28×64, 14×14×128 and 7×7×512.

    Parameter names are those of the public MS1M weights, without the embedding that follows the last map there
    (``gdconv``, ``conv3``, ``bn``): it is trained to recognise people whatever their expression.

    Differs from the paper, like those weights: ReLU6 and ReLU instead of PReLU, a pointwise convolution after the
    depthwise one in the second layer, ImageNet's statistics for the input.
    """

    def __init__(self) -> None:
        super().__init__(IMAGENET, input_px=112, mid_channels=64, late_channels=128, last_channels=512)
        self.conv1 = _conv_bn_relu(3, 64, kernel=3, stride=2)
        self.dw_conv = _DepthwiseSeparable(64)
        blocks, channels = [], 64
        for expansion, width, repeats, stride in _STAGES:
            for index in range(repeats):
                blocks.append(_Bottleneck(channels, width, expansion, stride if index == 0 else 1))
                channels = width
        self.features = nn.Sequential(*blocks)
        self.conv2 = _conv_bn_relu(channels, 512, kernel=1)

    def forward(self, image: Tensor) -> Maps:
        x = self.dw_conv(self.conv1(self.normalize(image)))  # (N, 64, 56, 56)
        mid = self.features[:_MID_BLOCKS](x)  # (N, 64, 28, 28)
        late = self.features[_MID_BLOCKS:_LATE_BLOCKS](mid)  # (N, 128, 14, 14)
        return Maps(mid, late, self.conv2(self.features[_LATE_BLOCKS:](late)))  # (N, 512, 7, 7)


class _DepthwiseSeparable(nn.Module):
    """A depthwise 3×3 convolution, then a pointwise one, each with BatchNorm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.depthwise(x)).relu()
        x = self.bn2(self.pointwise(x))
        return x.relu()


class _Bottleneck(nn.Module):
    """Expansion, depthwise convolution, linear projection; added to the input if the shapes agree."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = channels_in * expansion
        self.is_residual = stride == 1 and channels_in == channels_out
        self.conv = nn.Sequential(
            _conv_bn_relu(channels_in, width, kernel=1),
            _conv_bn_relu(width, width, kernel=3, stride=stride, groups=width),
            nn.Conv2d(width, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        narrow: Tensor = self.conv(x)
        return x + narrow if self.is_residual else narrow


def _conv_bn_relu(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU6(inplace=True),
    )


MOBILEFACENET = BackboneSpec(
    partial(extractor_on, MobileFaceNetTrunk), 112, 0.001, "a face network of a million weights", grid=True
)
