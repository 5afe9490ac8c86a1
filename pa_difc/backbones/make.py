"""Backbones from their names."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn

from ..util.options import make
from . import BACKBONES


def make_backbone(
    name: str, *, feature_head: str | None = None, landmark_branch: str = "conv", **options: Any
) -> nn.Module:
    """A feature extractor with fresh weights.

    Args:
        name: one of :data:`.BACKBONES`.
        feature_head: "global_local", the paper's 384 features, or "global_only", the average of the last map; None:
            the backbone's default.
        landmark_branch: "conv" or "ir", the branch of a landmark; see :class:`.head.GlobalLocalHead`.
        **options: the backbone's own, see :attr:`.BackboneSpec.options`.

    Raises:
        UserError: the name or an option is unknown, or the backbone can't have it.
    """
    spec = BACKBONES.lookup(name)
    chosen = make(spec.options, options, f"backbone {name}")
    return spec.build(feature_head=feature_head or spec.feature_head, landmark_branch=landmark_branch, **asdict(chosen))
