"""MobileFaceNet, the small face-recognition network (Chen et al. 2018, arXiv:1804.07573)."""

from __future__ import annotations

from torch import Tensor, nn

from .normalize import IMAGENET

#: (expansion, channels, blocks, stride of the first) of each stage of bottlenecks.
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
_MID_BLOCKS = 5  # the first stage: up to here the map is 28×28


class MobileFaceNetTrunk(nn.Module):
    """The convolutions of MobileFaceNet: images ``(N, 3, 112, 112)`` to a 28×28×64 and a 7×7×512 map.

    Differs from the paper as the public MS1M weights do: ReLU6 and ReLU in place of PReLU, and ImageNet's statistics
    for the input. The modules carry the names those weights have.
    """

    input_px = 112
    mid_channels = 64
    last_channels = 512
    statistics = IMAGENET

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(3, 64, kernel=3, stride=2)
        self.dw_conv = _DepthwiseSeparable(64)
        blocks, channels = [], 64
        for expansion, width, repeats, stride in _STAGES:
            for index in range(repeats):
                blocks.append(_Bottleneck(channels, width, expansion, stride if index == 0 else 1))
                channels = width
        self.features = nn.Sequential(*blocks)
        self.conv2 = _conv_bn_relu(channels, self.last_channels, kernel=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dw_conv(self.conv1(image))  # (N, 64, 56, 56)
        mid = self.features[:_MID_BLOCKS](x)  # (N, 64, 28, 28)
        return mid, self.conv2(self.features[_MID_BLOCKS:](mid))  # (N, 512, 7, 7)


class MobileFaceNetEmbedding(nn.Module):
    """MobileFaceNet's own way from its last map to one vector: a learned weight for each place, then 128 features.

    The global depthwise convolution stands where others have average pooling (section 3.1 of the paper).
    """

    num_features = 128

    def __init__(self) -> None:
        super().__init__()
        self.gdconv = _GlobalDepthwise(MobileFaceNetTrunk.last_channels)
        self.conv3 = nn.Conv2d(MobileFaceNetTrunk.last_channels, self.num_features, 1)
        self.bn = nn.BatchNorm2d(self.num_features)

    def forward(self, mid: Tensor, last: Tensor, landmarks: Tensor) -> Tensor:
        return self.bn(self.conv3(self.gdconv(last))).flatten(1)  # (N, 128)


class _DepthwiseSeparable(nn.Module):
    """A 3×3 convolution within each channel, then a 1×1 across them, each with BatchNorm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.depthwise(x)).relu()
        return self.bn2(self.pointwise(x)).relu()


class _GlobalDepthwise(nn.Module):
    """One 7×7 filter a channel over the whole map, and BatchNorm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.depthwise(x))  # (N, C, 1, 1)


class _Bottleneck(nn.Module):
    """Widen, convolve within channels, narrow without an activation; added to the input where the shapes agree."""

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
        return x + self.conv(x) if self.is_residual else self.conv(x)


def _conv_bn_relu(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU6(inplace=True),
    )
