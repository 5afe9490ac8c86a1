"""A trunk and a head in one: what the methods call G."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..data.faces import Face
from ..util.errors import UserError
from ..util.names import unknown
from .head import LOCAL_HEADS, GlobalLocalHead, GlobalOnlyHead
from .trunk import Trunk

HEADS = ("global_local", "global_only")


class FaceExtractor(nn.Module):
    """Faces to feature vectors.

    Attributes:
        num_features: D: 384 with ``head="global_local"``, the channels of the trunk's last map with "global_only".
        input_px: side of the images it takes.

    Args:
        trunk: the convolutional part.
        head: "global_local" or "global_only".
        local_head: "conv" or "ir": the branch of a landmark.

    Raises:
        UserError: an option is unknown, or the trunk has no map for landmarks and the head needs one.
    """

    def __init__(self, trunk: Trunk, *, head: str = "global_local", local_head: str = "conv") -> None:
        super().__init__()
        self.trunk = trunk
        self.head = _make_head(trunk, head, local_head)
        self.num_features: int = self.head.num_features
        self.input_px = trunk.input_px

    def forward(self, face: Face) -> Tensor:
        """The features ``(N, D)`` of N faces.

        Raises:
            ValueError: the images have another size than ``input_px``, or a landmark that is needed is NaN.
        """
        mid, last = self.trunk(face.image)
        return self.head(mid, last, face.landmarks, face.image.shape[-1])


def extractor_on(trunk: Callable[[], Trunk], *, head: str = "global_local", local_head: str = "conv") -> FaceExtractor:
    """A :class:`FaceExtractor` with fresh weights; ``trunk`` makes its convolutional part."""
    return FaceExtractor(trunk(), head=head, local_head=local_head)


def _make_head(trunk: Trunk, head: str, local_head: str) -> GlobalLocalHead | GlobalOnlyHead:
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    if local_head not in LOCAL_HEADS:
        raise unknown("local head", local_head, LOCAL_HEADS)
    if head == "global_only":
        if local_head != "conv":
            raise UserError(f"local_head={local_head!r} has no effect with head='global_only': leave it out")
        return GlobalOnlyHead(trunk.last_channels)
    if trunk.mid_channels is None:
        raise UserError(f"head={head!r}: {type(trunk).__name__} has no map for landmarks; take head='global_only'")
    return GlobalLocalHead(trunk.mid_channels, trunk.last_channels, local_head)
