"""Makes backbones from their names."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn

from ..util.errors import UserError
from ..util.options import make
from . import BACKBONES


def make_backbone(
    name: str,
    *,
    feature_head: str | None = None,
    landmark_branch: str = "conv",
    pool: str = "average",
    maps: str = "late",
    **options: Any,
) -> nn.Module:
    """Makes a feature extractor with new weights.

    Args:
        name: one of :data:`.BACKBONES`.
        feature_head: "global_local", the paper's 384 features, or "global_only", the average of the last map; None:
            the backbone's default, or "global_only" with a grid.
        landmark_branch: "conv" or "ir", the branch for each landmark; see :class:`.head.GlobalLocalHead`.
        pool: "average" or "grid": averages over the cells of a grid, see :class:`.head.GridHead`.
        maps: the maps to lay the grid over, "mid", "late" and "last", joined by "+".
        **options: the backbone's own, see :attr:`.BackboneSpec.options`.

    Raises:
        UserError: the name or an option is unknown, or the backbone doesn't support it.
    """
    spec = BACKBONES.lookup(name)
    given = asdict(make(spec.options, options, f"backbone {name}"))
    if pool != "average":
        if not spec.grid:
            raise UserError(f"pool={pool!r}: backbone {name} does not support it (BackboneSpec.grid)")
        feature_head, given = feature_head or "global_only", given | {"pool": pool, "maps": maps}
    return spec.build(feature_head=feature_head or spec.feature_head, landmark_branch=landmark_branch, **given)
