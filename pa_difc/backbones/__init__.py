"""Feature extractors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..names import lookup
from .small import SmallNet


@dataclass(frozen=True)
class BackboneSpec:
    """A feature extractor as the commands know it."""

    build: Callable[..., nn.Module]
    input_px: int  #: side of the faces it takes
    lr: float  #: default learning rate
    about: str


BACKBONES: dict[str, BackboneSpec] = {
    "small": BackboneSpec(SmallNet, 48, 0.02, "four convolution blocks, for CPU work"),
}


def make_backbone(name: str) -> nn.Module:
    """A feature extractor with fresh weights."""
    return lookup("backbone", name, BACKBONES).build()
