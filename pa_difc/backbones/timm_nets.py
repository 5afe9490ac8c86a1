"""Any convolutional network of timm as a trunk, with the keys of timm's own weights: ``--backbone timm:NAME``."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..util.errors import UserError
from .extractor import extractor_on
from .spec import TIMM, BackboneSpec
from .trunk import Maps, Trunk

_INPUT_PX, _MID_PX, _LATE_PX = 112, 28, 14


class TimmTrunk(Trunk):
    """A network of timm without its classifier.

    Its map for landmarks is the deepest of those of 28 px and more (none: it has no such map), its late one the deepest
    of the smaller ones of 14 px and more; the last is what timm's own ``forward_features`` ends with. The network lies
    in ``net``, under timm's names.

    Args:
        name: of the network in timm, such as "resnet18" or "efficientnet_b0.ra_in1k".

    Attributes:
        averages: whether timm's classifier reads the plain average of the last map; other networks have layers between
            the two, and a classifier can't be taken over from them.

    Raises:
        UserError: it has no maps, or can't take images of 112 px.
    """

    def __init__(self, name: str) -> None:
        net = _timm(name).create_model(name, pretrained=False, num_classes=0).eval()
        try:
            last, maps = net.forward_intermediates(torch.rand(1, 3, _INPUT_PX, _INPUT_PX))
            last.sum().backward()
            pooled = net.forward_head(last, pre_logits=True)
        except Exception:  # networks of timm raise what they like
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
    """The index of the deepest map of such a side."""
    return max((i for i, x in enumerate(maps) if x.dim() == 4 and from_px <= x.shape[-1] < below_px), default=None)


def timm_backbone(name: str) -> BackboneSpec:
    """The backbone of a name such as "timm:resnet18".

    Raises:
        UserError: timm is not installed, or has no such network.
    """
    own = name.partition(":")[2]
    timm = _timm(own)
    if not timm.is_model(own):
        near = get_close_matches(own, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "timm.list_models() lists all"
        raise UserError(f"backbone {name!r}: timm has no network {own!r}: {hint}")
    build = partial(extractor_on, partial(TimmTrunk, own))
    return BackboneSpec(build, _INPUT_PX, 0.001, f"timm's {own}", feature_head="global_only", grid=True)


def hub_weights(name: str) -> dict[str, Tensor]:
    """The weights of a network, its classifier among them, from timm's hub, or where an earlier download left them.

    Args:
        name: of the backbone, such as "timm:resnet18".

    Raises:
        UserError: the hub has none, or can't be reached; or the backbone is none of timm's.
    """
    if not name.startswith(f"{TIMM}:"):
        raise UserError(f"pretrained='hub': only for --backbone {TIMM}:NAME, not for {name}; give a file")
    own = name.partition(":")[2]
    timm = _timm(own)
    try:
        net: nn.Module = timm.create_model(own, pretrained=True)
    except Exception as error:  # whatever a network and a hub can raise
        reason = (str(error).splitlines() or [type(error).__name__])[0].strip()[:120]
        raise UserError(f"no weights of {name} from timm's hub ({reason}): give --pretrained FILE") from None
    return net.state_dict()


def _timm(name: str) -> Any:
    """The package, which is an extra and takes a second to import."""
    try:
        import timm
    except ImportError:
        raise UserError(f"backbone {TIMM}:{name} needs timm: pip install 'pa-difc[timm]'") from None
    return timm
