"""What a named backbone is, and the words for its parts; importing this imports no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util.options import Options

if TYPE_CHECKING:
    from torch import nn

#: From maps to features: the paper's 384 features, or the average of the last map.
FEATURE_HEADS = ("global_local", "global_only")

#: From maps to features without landmarks: their average over all places, or over the cells of a grid.
POOLS = ("average", "grid")

#: The maps that a grid can be laid over, one or several, in the order in which a trunk gives them.
MAPS = ("mid", "late", "last", "mid+late", "mid+last", "late+last", "mid+late+last")

#: The branch of a landmark: one convolution, or IR units.
LANDMARK_BRANCHES = ("conv", "ir")

#: Of the extractor's forward and backward pass in training. Its features, all losses and all state are in float32,
#: for a margin of 0.02 is lost next to a logit of 5 that has eight bits; so are predictions.
PRECISIONS = ("float32", "bf16")

#: How classifiers start.
HEAD_INITS = ("random", "pretrained")

#: The prefix of timm's networks, and what stands for their weights where timm is to fetch them.
TIMM, HUB = "timm", "hub"


@dataclass(frozen=True)
class BackboneSpec:
    """A feature extractor as the commands know it."""

    build: Callable[..., nn.Module]  #: takes ``feature_head``, ``landmark_branch`` and its options as keywords
    input_px: int  #: side of the faces it takes
    lr: float  #: default learning rate
    about: str
    feature_head: str = "global_local"  #: default head
    options: type[Options] = Options  #: those of its own
    any_px: bool = False  #: whether it takes faces of other sides, too
    grid: bool = False  #: whether ``build`` takes ``pool`` and ``maps``, too, as :func:`.extractor_on` does
    classes: tuple[str, ...] = ()  #: of the classifier that its public weights bring along, in its order

    @property
    def code(self) -> Callable[..., nn.Module]:
        """What makes the backbone what it is; :meth:`.Registry.digest` hashes its file."""
        return self.build
