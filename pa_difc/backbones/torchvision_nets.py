"""torchvision's ResNets and MobileNetV2 as trunks, with torchvision's parameter names.

At 112 px their maps shrink earlier than IR's: a ResNet is at 28×28 before its first stage, so the landmarks are looked
up after that stage.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torchvision import models

from .extractor import extractor_on
from .spec import BackboneSpec
from .trunk import IMAGENET, Maps, Trunk


class ResNetTrunk(Trunk):
    """A torchvision ResNet (He et al. 2016, arXiv:1512.03385) without its classifier.

    112 → 56 → **28×28** (``layer1``: 64 channels, 256 with bottlenecks) → **14×14** (``layer2``: 128 or 512) → 7 →
    **4×4** (``layer4``: 512 or 2048).

    Args:
        net: the network whose layers to use.
    """

    def __init__(self, net: models.ResNet) -> None:
        channels = net.fc.in_features
        widths = {"mid_channels": channels // 8, "late_channels": channels // 4, "last_channels": channels}
        super().__init__(IMAGENET, input_px=112, **widths)
        self.conv1 = net.conv1
        self.bn1 = net.bn1
        self.relu = net.relu
        self.maxpool = net.maxpool
        self.layer1 = net.layer1
        self.layer2 = net.layer2
        self.layer3 = net.layer3
        self.layer4 = net.layer4

    def forward(self, image: Tensor) -> Maps:
        x = self.relu(self.bn1(self.conv1(self.normalize(image))))  # (N, 64, 56, 56)
        mid = self.layer1(self.maxpool(x))  # (N, C1, 28, 28)
        late = self.layer2(mid)  # (N, C2, 14, 14)
        return Maps(mid, late, self.layer4(self.layer3(late)))  # (N, C3, 4, 4)


class MobileNetV2Trunk(Trunk):
    """torchvision's MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) without its classifier.

    112 → 56 → **28×28×24** (after the fourth of ``features``) → **14×14×32** (the seventh) → 7 → **4×4×1280**.
    """

    _MID_BLOCKS, _LATE_BLOCKS = 4, 7

    def __init__(self) -> None:
        super().__init__(IMAGENET, input_px=112, mid_channels=24, late_channels=32, last_channels=1280)
        features = models.mobilenet_v2(weights=None).features
        assert isinstance(features, nn.Sequential)
        self.features = features

    def forward(self, image: Tensor) -> Maps:
        mid = self.features[: self._MID_BLOCKS](self.normalize(image))  # (N, 24, 28, 28)
        late = self.features[self._MID_BLOCKS : self._LATE_BLOCKS](mid)  # (N, 32, 14, 14)
        return Maps(mid, late, self.features[self._LATE_BLOCKS :](late))  # (N, 1280, 4, 4)


def resnet18() -> ResNetTrunk:
    """ResNet-18: 28×28×64, 14×14×128 and 4×4×512."""
    return ResNetTrunk(models.resnet18(weights=None))


def resnet50() -> ResNetTrunk:
    """ResNet-50: 28×28×256, 14×14×512 and 4×4×2048."""
    return ResNetTrunk(models.resnet50(weights=None))


MOBILENET_V2 = BackboneSpec(partial(extractor_on, MobileNetV2Trunk), 112, 0.001, "torchvision's MobileNetV2", grid=True)
RESNET18 = BackboneSpec(partial(extractor_on, resnet18), 112, 0.001, "torchvision's ResNet-18", grid=True)
RESNET50 = BackboneSpec(partial(extractor_on, resnet50), 112, 0.001, "torchvision's ResNet-50", grid=True)
