"""The registry entry of a named backbone, and the names of its options; this module imports no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util.options import Options

if TYPE_CHECKING:
    from torch import nn

#: Heads: the paper's 384 features, or the average of the last map.
FEATURE_HEADS = ("global_local", "global_only")

#: Pooling without landmarks: maps averaged over all positions, or over the cells of a grid.
POOLS = ("average", "grid")

#: The maps that a grid can be laid over, one or several, in the trunk's order.
MAPS = ("mid", "late", "last", "mid+late", "mid+last", "late+last", "mid+late+last")

#: The branch for each landmark: one convolution, or IR units.
LANDMARK_BRANCHES = ("conv", "ir")

#: Precision of the extractor's forward and backward pass in training. Features, losses, state and predictions stay in
#: float32, as bfloat16's eight bits would lose a margin of 0.02 next to a logit of 5.
PRECISIONS = ("float32", "bf16")

#: How classifiers are initialised.
HEAD_INITS = ("random", "pretrained")

#: The prefix of timm's networks, and the value of --pretrained that lets timm download their weights.
TIMM, HUB = "timm", "hub"


@dataclass(frozen=True)
class BackboneSpec:
    """A feature extractor in the registry."""

    build: Callable[..., nn.Module]  #: takes ``feature_head``, ``landmark_branch`` and its options as keywords
    input_px: int  #: side of the faces it takes
    lr: float  #: default learning rate
    about: str
    feature_head: str = "global_local"  #: default head
    options: type[Options] = Options  #: its own options
    any_px: bool = False  #: whether it takes faces of other sizes, too
    grid: bool = False  #: whether ``build`` takes ``pool`` and ``maps``, as :func:`.extractor_on` does
    classes: tuple[str, ...] = ()  #: classes of the classifier in its public weights, in output order

    @property
    def code(self) -> Callable[..., nn.Module]:
        """The function whose file :meth:`.Registry.digest` hashes."""
        return self.build
