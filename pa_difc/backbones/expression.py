"""The expression network of face-api.js: seven expressions, 324,000 weights."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .extractor import extractor_on
from .spec import BackboneSpec
from .trunk import Maps, Trunk

#: Channel means (of 255) that the published weights expect; the standard deviation is 1.
_STATISTICS = (tuple(value / 255 for value in (122.782, 117.001, 104.298)), (1.0, 1.0, 1.0))

#: The classes of the published classifier, in the order of its outputs.
CLASSES = ("neutral", "happy", "sad", "anger", "fear", "disgust", "surprise")


class ExpressionTrunk(Trunk):
    """Four densely connected blocks of separable convolutions without BatchNorm, as in face-api.js.

    112 → 56×56×32 → **28×28×64** → **14×14×128** → **7×7×256**. With ``feature_head="global_only"`` the features are
    the 256 that the published classifier takes, the average over 7×7 positions.

    Convolutions of stride 2 are padded at the right and the bottom only, like TensorFlow's "same".
    """

    def __init__(self) -> None:
        super().__init__(_STATISTICS, input_px=112, mid_channels=64, late_channels=128, last_channels=256)
        self.dense0 = _Block(3, 32, separable_first=False)
        self.dense1 = _Block(32, 64)
        self.dense2 = _Block(64, 128)
        self.dense3 = _Block(128, 256)

    def forward(self, image: Tensor) -> Maps:
        # Channels last takes 0.7 of the time per step on a CPU.
        x = self.normalize(image).contiguous(memory_format=torch.channels_last)
        mid = self.dense1(self.dense0(x))  # (N, 64, 28, 28)
        late = self.dense2(mid)  # (N, 128, 14, 14)
        return Maps(mid, late, self.dense3(late))  # (N, 256, 7, 7)


class _Block(nn.Module):
    """Halves the side, then applies three convolutions, each to the sum of all previous outputs of the block."""

    def __init__(self, channels_in: int, channels: int, separable_first: bool = True) -> None:
        super().__init__()
        first = _Separable if separable_first else _Plain
        self.conv0 = first(channels_in, channels, 2)
        self.conv1 = _Separable(channels, channels)
        self.conv2 = _Separable(channels, channels)
        self.conv3 = _Separable(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.conv0(x).relu()
        total = total + self.conv1(total)
        total = total + self.conv2(total.relu())
        total = total + self.conv3(total.relu())
        return total.relu()


class _Plain(nn.Conv2d):
    """A strided 3×3 convolution, padded like TensorFlow's "same"."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(channels_in, channels_out, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_same(x, self.stride[0]))


class _Separable(nn.Module):
    """A depthwise 3×3 convolution, then a pointwise one with a bias."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, groups=channels_in, bias=False)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(_same(x, self.depthwise.stride[0])))  # type: ignore[no-any-return]


def _same(x: Tensor, stride: int) -> Tensor:
    """Pads a map for a 3×3 convolution like TensorFlow's "same"; with stride 2 its side must be even."""
    before = 1 if stride == 1 else 0
    return F.pad(x, (before, 1, before, 1))


EXPRESSION = BackboneSpec(
    partial(extractor_on, ExpressionTrunk),
    112,
    0.001,
    "face-api.js's expression network",
    feature_head="global_only",
    classes=CLASSES,
    grid=True,
)
