"""Scales the faces that a backbone sees."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from ..data.views import scaled

if TYPE_CHECKING:
    from ..data.faces import Face


def show_scaled(backbone: nn.Module, scale: float) -> nn.Module:
    """Makes a backbone scale every face and its landmarks about the image's centre; modifies it in place.

    A network pretrained on looser or tighter crops than the data has does worse than it could. The scale becomes part
    of the network, in training, evaluation and every exported format; the weights keep their names.

    Args:
        backbone: takes a :class:`.Face`.
        scale: 0.9 is a looser crop, 1.1 a tighter one; 1 leaves the backbone as it is.
    """
    if scale != 1.0:
        backbone.register_forward_pre_hook(partial(_scale_input, scale))
    return backbone


def _scale_input(scale: float, backbone: nn.Module, given: tuple[Face]) -> tuple[Face]:
    (faces,) = given
    return (scaled(faces, scale),)  # a 1-tuple: torch would unpack a Face into two arguments
