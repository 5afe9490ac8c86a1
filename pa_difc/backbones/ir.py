"""IR-50 and IR-18, the "improved residual" face networks of ArcFace (Deng et al. 2019, arXiv:1801.07698)."""

from __future__ import annotations

from functools import partial
from itertools import chain

from torch import Tensor, nn

from .extractor import extractor_on
from .ir_unit import IRUnit
from .spec import BackboneSpec
from .trunk import SYMMETRIC, Maps, Trunk

_WIDTHS = (64, 128, 256, 512)


class IRTrunk(Trunk):
    """A stem and four stages of IR units, the first of each with stride 2: 112 → 56 → 28 → 14 → 7.

    Parameter names are those of face.evoLVe's checkpoints: ``input_layer.*``, ``body.N.*``. The maps are 28×28×128 of
    stage 2 and 7×7×512 of stage 4 (Sreenivas et al. 2022, section 5.2), and 14×14×256 of stage 3.

    Args:
        units: number of units in each stage.
    """

    def __init__(self, units: tuple[int, int, int, int]) -> None:
        super().__init__(SYMMETRIC, input_px=112, mid_channels=128, late_channels=256, last_channels=512)
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        inputs = (64, *_WIDTHS)
        stages = (_stage(i, o, n) for i, o, n in zip(inputs, _WIDTHS, units, strict=False))
        self.body = nn.Sequential(*chain.from_iterable(stages))
        self.mid_units, self.late_units = sum(units[:2]), sum(units[:3])

    def forward(self, image: Tensor) -> Maps:
        x = self.input_layer(self.normalize(image))  # (N, 64, 112, 112)
        mid = self.body[: self.mid_units](x)  # (N, 128, 28, 28)
        late = self.body[self.mid_units : self.late_units](mid)  # (N, 256, 14, 14)
        return Maps(mid, late, self.body[self.late_units :](late))  # (N, 512, 7, 7)


def ir50() -> IRTrunk:
    """The paper's backbone: 3 + 4 + 14 + 3 units."""
    return IRTrunk((3, 4, 14, 3))


def ir18() -> IRTrunk:
    """The smaller backbone of the paper's Table 5: 2 + 2 + 2 + 2 units."""
    return IRTrunk((2, 2, 2, 2))


def _stage(channels_in: int, channels_out: int, units: int) -> list[IRUnit]:
    rest = [IRUnit(channels_out, channels_out, stride=1) for _ in range(units - 1)]
    return [IRUnit(channels_in, channels_out, stride=2), *rest]


IR18 = BackboneSpec(partial(extractor_on, ir18), 112, 0.001, "the paper's smaller face network (Table 5)", grid=True)
IR50 = BackboneSpec(partial(extractor_on, ir50), 112, 0.001, "the paper's face network", grid=True)
