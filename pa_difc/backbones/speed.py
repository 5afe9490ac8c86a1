"""Settings for speed: precision, memory format, compilation. Names and values of the weights stay the same."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ..data.faces import Face


#: The attribute that makes an extractor compute as in training whatever its mode.
_IN_TRAINING = "_computes_as_in_training"


def for_speed(
    extractor: nn.Module, *, precision: str = "float32", channels_last: bool = False, compiled: bool = False
) -> None:
    """Sets an extractor's precision, memory format and compilation, in place.

    Args:
        extractor: takes a :class:`.Face`.
        precision: one of :data:`.PRECISIONS`; "bf16" is autocast.
        channels_last: whether to use the channels-last memory format.
        compiled: whether to use torch.compile.
    """
    if channels_last:
        extractor.to(memory_format=torch.channels_last)
    if precision == "bf16":
        extractor.forward = MethodType(_forward_in_bf16, extractor)  # a bound method, which deep copies rebind
    if compiled:
        extractor.compile()


def for_training(extractor: nn.Module) -> None:
    """Makes an extractor that is part of training in eval mode, such as a teacher's, compute as in training."""
    setattr(extractor, _IN_TRAINING, True)


def _forward_in_bf16(self: nn.Module, face: Face) -> Tensor:
    enabled = self.training or getattr(self, _IN_TRAINING, False)
    with torch.autocast(face.image.device.type, torch.bfloat16, enabled=enabled):
        features: Tensor = type(self).forward(self, face)
    return features.float()
