"""A backbone that is shown its faces larger or smaller than they come."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from ..data.views import scaled

if TYPE_CHECKING:
    from ..data.faces import Face


def show_scaled(backbone: nn.Module, scale: float) -> nn.Module:
    """A backbone that sees every face scaled about the image's centre, landmarks with it; changed in place.

    A network that learnt from looser or tighter crops than it is given is judged by its crop. The scale is part of the
    network, in training, evaluation and every exported format; the weights keep their names.

    Args:
        backbone: takes a :class:`.Face`.
        scale: 0.9 is a looser crop, 1.1 a tighter one; 1 leaves the backbone as it is.
    """
    if scale != 1.0:
        backbone.register_forward_pre_hook(partial(_scale_input, scale))
    return backbone


def _scale_input(scale: float, backbone: nn.Module, given: tuple[Face]) -> tuple[Face]:
    (faces,) = given
    return (scaled(faces, scale),)  # a tuple of arguments: torch would take a Face for two of them
