"""facenet-pytorch's Inception-ResNet v1 as a trunk, with the parameter names of that package's weights."""

from __future__ import annotations

from functools import partial

from facenet_pytorch import InceptionResnetV1
from torch import Tensor

from .extractor import extractor_on
from .spec import BackboneSpec
from .trunk import FACENET, Maps, Trunk

#: The convolutional part, in order; the identity embedding that follows it is left out.
_LAYERS = (
    *("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "conv2d_4b"),
    *("repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8"),
)
_LATE_LAYERS = _LAYERS.index("repeat_1") + 1  # up to here the map is 17×17


class InceptionResnetTrunk(Trunk):
    """Inception-ResNet v1 (Szegedy et al. 2017, arXiv:1602.07261) for faces of 160 px.

    None of its maps is 28×28 (some convolutions have no padding: 38, 36, 17, 8, 3), so it has no mid map and works only
    with ``feature_head="global_only"``. The late map is 17×17×256, the last one 3×3×1792.
    """

    def __init__(self) -> None:
        super().__init__(FACENET, input_px=160, mid_channels=None, late_channels=256, last_channels=1792)
        net = InceptionResnetV1(pretrained=None)
        for name in _LAYERS:
            self.add_module(name, getattr(net, name))

    def forward(self, image: Tensor) -> Maps:
        x = self._through(_LAYERS[:_LATE_LAYERS], self.normalize(image))  # (N, 256, 17, 17)
        return Maps(None, x, self._through(_LAYERS[_LATE_LAYERS:], x))  # (N, 1792, 3, 3)

    def _through(self, layers: tuple[str, ...], x: Tensor) -> Tensor:
        for name in layers:
            x = self.get_submodule(name)(x)
        return x


INCEPTION_RESNET_V1 = BackboneSpec(
    partial(extractor_on, InceptionResnetTrunk),
    160,
    0.001,
    "facenet-pytorch's network",
    feature_head="global_only",
    grid=True,
)
