"""A trunk and a head in one: what the methods call G."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..util.errors import UserError
from ..util.names import unknown
from .head import GlobalLocalHead, GlobalOnlyHead
from .spec import FEATURE_HEADS, LANDMARK_BRANCHES
from .trunk import Trunk

if TYPE_CHECKING:
    from ..data.faces import Face


class FaceExtractor(nn.Module):
    """Faces to feature vectors.

    Attributes:
        num_features: D: 384 with ``feature_head="global_local"``, with "global_only" the channels of the trunk's last
            map.
        input_px: side of the images it takes.

    Args:
        trunk: the convolutional part.
        feature_head: "global_local" or "global_only".
        landmark_branch: "conv" or "ir": the branch of a landmark.

    Raises:
        UserError: an option is unknown, or the trunk has no map for landmarks and the head needs one.
    """

    def __init__(self, trunk: Trunk, *, feature_head: str = "global_local", landmark_branch: str = "conv") -> None:
        super().__init__()
        self.trunk = trunk
        self.head = _make_head(trunk, feature_head, landmark_branch)
        self.num_features: int = self.head.num_features
        self.input_px = trunk.input_px

    def forward(self, face: Face) -> Tensor:
        """The features ``(N, D)`` of N faces.

        Raises:
            ValueError: the images have another size than ``input_px``, or a landmark that is needed is NaN.
        """
        mid, last = self.trunk(face.image)
        features: Tensor = self.head(mid, last, face.landmarks, face.image.shape[-1])
        return features


def extractor_on(
    trunk: Callable[[], Trunk], *, feature_head: str = "global_local", landmark_branch: str = "conv"
) -> FaceExtractor:
    """A :class:`FaceExtractor` with fresh weights; ``trunk`` makes its convolutional part."""
    return FaceExtractor(trunk(), feature_head=feature_head, landmark_branch=landmark_branch)


def _make_head(trunk: Trunk, feature_head: str, landmark_branch: str) -> GlobalLocalHead | GlobalOnlyHead:
    if feature_head not in FEATURE_HEADS:
        raise unknown("feature head", feature_head, FEATURE_HEADS)
    if landmark_branch not in LANDMARK_BRANCHES:
        raise unknown("landmark branch", landmark_branch, LANDMARK_BRANCHES)
    if feature_head == "global_only":
        if landmark_branch != "conv":
            raise UserError(
                f"landmark_branch={landmark_branch!r} has no effect with feature_head='global_only': leave it out"
            )
        return GlobalOnlyHead(trunk.last_channels)
    if trunk.mid_channels is None:
        raise UserError(
            f"feature_head={feature_head!r}: {type(trunk).__name__} has no map for landmarks; "
            "take feature_head='global_only'"
        )
    return GlobalLocalHead(trunk.mid_channels, trunk.last_channels, landmark_branch)
