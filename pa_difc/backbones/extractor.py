"""The feature extractor (G in the methods): a trunk and a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..util.errors import UserError
from ..util.names import unknown
from .head import GlobalLocalHead, GlobalOnlyHead, GridHead
from .spec import FEATURE_HEADS, LANDMARK_BRANCHES, MAPS, POOLS
from .trunk import Maps, Trunk

if TYPE_CHECKING:
    from ..data.faces import Face


class FaceExtractor(nn.Module):
    """Maps faces to feature vectors.

    Attributes:
        num_features: D: 384 with ``feature_head="global_local"``; with "global_only", the channels of the trunk's last
            map, or with ``pool="grid"`` the sum over chosen maps of channels times grid cells.
        input_px: side of the images it takes.

    Args:
        trunk: the convolutional part.
        feature_head: "global_local" or "global_only".
        landmark_branch: "conv" or "ir", the branch for each landmark.
        pool: "average" or "grid", see :class:`.head.GridHead`; a grid needs ``feature_head="global_only"``.
        maps: the maps to lay the grid over, one of :data:`.spec.MAPS`.

    Raises:
        UserError: an option is unknown, options conflict, or the trunk lacks a map that they need.
    """

    def __init__(
        self,
        trunk: Trunk,
        *,
        feature_head: str = "global_local",
        landmark_branch: str = "conv",
        pool: str = "average",
        maps: str = "late",
    ) -> None:
        super().__init__()
        _check(feature_head, landmark_branch, pool, maps)
        self.trunk = trunk
        self.head = _make_head(trunk, feature_head, landmark_branch, maps.split("+") if pool == "grid" else [])
        self.num_features: int = self.head.num_features
        self.input_px = trunk.input_px
        if isinstance(self.head, GridHead) and "last" not in self.head.maps:
            _freeze_unused(trunk, self.head.maps)

    def forward(self, face: Face) -> Tensor:
        """The features ``(N, D)`` of N faces.

        Raises:
            ValueError: the images are not of size ``input_px``, or a required landmark is NaN.
            UserError: the trunk doesn't return :class:`.Maps`.
        """
        maps = self.trunk(face.image)
        if not isinstance(maps, Maps):  # a plugin for version 0.3 or older: (mid, last)
            name = type(self.trunk).__name__
            raise UserError(f"{name}.forward must return Maps(mid, late, last), not {type(maps).__name__}")
        features: Tensor = self.head(maps, face.landmarks, face.image.shape[-1])
        return features


def extractor_on(trunk: Callable[[], Trunk], **options: str) -> FaceExtractor:
    """Makes a :class:`FaceExtractor` with new weights from a function that makes its trunk."""
    return FaceExtractor(trunk(), **options)


def _freeze_unused(trunk: Trunk, maps: Sequence[str]) -> None:
    """Freezes the layers behind the deepest of some maps.

    DistributedDataParallel refuses trainable parameters without gradient. The layers keep their weights, because a
    pretrained classifier uses them.
    """
    was_training = trunk.training
    trunk.eval()  # keeps BatchNorm statistics unchanged
    with torch.enable_grad():  # the caller may have disabled gradients
        found = trunk(torch.zeros(1, 3, trunk.input_px, trunk.input_px))
        total = sum(getattr(found, name).sum() for name in maps)
    trunk.train(was_training)
    weights = [weight for weight in trunk.parameters() if weight.requires_grad]
    depends = torch.autograd.grad(total, weights, allow_unused=True)
    for weight, gradient in zip(weights, depends, strict=True):
        weight.requires_grad_(gradient is not None)


def _check(feature_head: str, landmark_branch: str, pool: str, maps: str) -> None:
    chosen = {"feature head": feature_head, "landmark branch": landmark_branch, "pool": pool, "maps": maps}
    for (kind, value), valid in zip(chosen.items(), (FEATURE_HEADS, LANDMARK_BRANCHES, POOLS, MAPS), strict=True):
        if value not in valid:
            raise unknown(kind, value, valid)
    if feature_head == "global_only" and landmark_branch != "conv":
        raise UserError(
            f"landmark_branch={landmark_branch!r} has no effect with feature_head='global_only': leave it out"
        )
    if feature_head != "global_only" and pool == "grid":
        raise UserError(f"pool='grid' needs feature_head='global_only', not {feature_head!r}")


def _make_head(
    trunk: Trunk, feature_head: str, landmark_branch: str, grids: Sequence[str]
) -> GlobalLocalHead | GlobalOnlyHead | GridHead:
    """Makes the head; ``grids`` are the maps with a grid, empty without one."""
    name = type(trunk).__name__
    if grids:
        channels = {which: getattr(trunk, f"{which}_channels") for which in grids}
        if lacking := [which for which, count in channels.items() if count is None]:
            raise UserError(f"maps={'+'.join(grids)!r}: {name} has no map {lacking[0]!r}; leave it out")
        return GridHead(channels)
    if feature_head == "global_only":
        return GlobalOnlyHead(trunk.last_channels)
    if trunk.mid_channels is None:
        raise UserError(
            f"feature_head={feature_head!r}: {name} has no map for landmarks; use feature_head='global_only'"
        )
    return GlobalLocalHead(trunk.mid_channels, trunk.last_channels, landmark_branch)
