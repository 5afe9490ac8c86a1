"""Any convolutional network of timm as a trunk, with timm's parameter names: ``--backbone timm:NAME``."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..util.errors import UserError
from ..util.names import alternatives
from .extractor import extractor_on
from .spec import TIMM, BackboneSpec
from .trunk import Maps, Trunk

_INPUT_PX, _MID_PX, _LATE_PX = 112, 28, 14


class TimmTrunk(Trunk):
    """A network of timm without its classifier.

    The mid map is the deepest of at least 28 px (None if there is none), the late map the deepest of at least 14 px
    below that, and the last map is the output of timm's ``forward_features``. The network is in ``net``, under timm's
    names.

    Args:
        name: the network's name in timm, such as "resnet18" or "efficientnet_b0.ra_in1k".

    Attributes:
        averages: whether timm's classifier takes the plain average of the last map; other networks have layers in
            between, and their classifier can't be reused.

    Raises:
        UserError: the network has no feature maps, or can't take images of 112 px.
    """

    def __init__(self, name: str) -> None:
        net = _timm(name).create_model(name, pretrained=False, num_classes=0).eval()
        try:
            last, maps = net.forward_intermediates(torch.rand(1, 3, _INPUT_PX, _INPUT_PX))
            last.sum().backward()
            pooled = net.forward_head(last, pre_logits=True)
        except Exception:  # timm's networks can raise anything
            last, maps, pooled = torch.zeros(0), [], torch.zeros(0)
        if last.dim() != 4 or last.shape[1] != net.num_features:
            raise UserError(f"backbone {TIMM}:{name}: must be a convolutional network that takes {_INPUT_PX} px")
        above = [p for p in net.parameters() if p.grad is None]  # layers between the last map and the classifier
        for parameter in above:
            parameter.requires_grad_(False)
        net.zero_grad(set_to_none=True)
        mid, late = _deepest(maps, _MID_PX, _INPUT_PX), _deepest(maps, _LATE_PX, _MID_PX)
        statistics = tuple(net.pretrained_cfg["mean"]), tuple(net.pretrained_cfg["std"])
        channels = [None if index is None else maps[index].shape[1] for index in (mid, late)]
        super().__init__(
            statistics,
            input_px=_INPUT_PX,
            mid_channels=channels[0],
            late_channels=channels[1],
            last_channels=last.shape[1],
        )
        self._mid, self._late = mid, late
        mean = last.mean((2, 3))
        self.averages: bool = not above and pooled.shape == mean.shape and torch.allclose(pooled, mean, atol=1e-4)
        self.net: nn.Module = net.train()

    def forward(self, image: Tensor) -> Maps:
        last, maps = self.net.forward_intermediates(self.normalize(image))  # type: ignore[operator]
        mid, late = (None if index is None else maps[index] for index in (self._mid, self._late))
        return Maps(mid, late, last)


def _deepest(maps: list[Tensor], from_px: int, below_px: int) -> int | None:
    """The index of the deepest map whose side is in [from_px, below_px)."""
    return max((i for i, x in enumerate(maps) if x.dim() == 4 and from_px <= x.shape[-1] < below_px), default=None)


def timm_backbone(name: str) -> BackboneSpec:
    """The backbone for a name such as "timm:resnet18".

    Raises:
        UserError: timm is not installed, or has no such network.
    """
    own = name.partition(":")[2]
    timm = _timm(own)
    if not timm.is_model(own):
        near = get_close_matches(own, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {alternatives(near)}?" if near else "timm.list_models() lists all"
        raise UserError(f"backbone {name!r}: timm has no network {own!r}: {hint}")
    build = partial(extractor_on, partial(TimmTrunk, own))
    return BackboneSpec(build, _INPUT_PX, 0.001, f"timm's {own}", feature_head="global_only", grid=True)


def hub_weights(name: str) -> dict[str, Tensor]:
    """The weights of a network, including its classifier, from timm's hub or its download cache.

    Args:
        name: the backbone's name, such as "timm:resnet18".

    Raises:
        UserError: the hub has none, or can't be reached; or the backbone isn't one of timm's.
    """
    if not name.startswith(f"{TIMM}:"):
        raise UserError(f"pretrained='hub': only for --backbone {TIMM}:NAME, not for {name}; give a file")
    own = name.partition(":")[2]
    timm = _timm(own)
    try:
        net: nn.Module = timm.create_model(own, pretrained=True)
    except Exception as error:  # the hub and the connection can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0].strip()[:120]
        raise UserError(f"no weights of {name} from timm's hub ({reason}): give --pretrained FILE") from None
    return net.state_dict()


def _timm(name: str) -> Any:
    """Imports timm, an optional dependency that takes a second to import."""
    try:
        import timm
    except ImportError:
        raise UserError(f"backbone {TIMM}:{name} needs timm: pip install 'pa-difc[timm]'") from None
    return timm
