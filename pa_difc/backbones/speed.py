"""How an extractor computes, not what: precision, memory format, compilation. Names and values of the weights stay."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ..data.faces import Face


#: The attribute of an extractor that computes as in training whatever its mode.
_IN_TRAINING = "_computes_as_in_training"


def for_speed(
    extractor: nn.Module, *, precision: str = "float32", channels_last: bool = False, compiled: bool = False
) -> None:
    """Sets an extractor up, in place.

    Args:
        extractor: takes a :class:`.Face`.
        precision: one of :data:`.PRECISIONS`; "bf16" is autocast.
        channels_last: whether convolutions keep their channels last in memory.
        compiled: whether it goes through torch.compile.
    """
    if channels_last:
        extractor.to(memory_format=torch.channels_last)
    if precision == "bf16":
        extractor.forward = MethodType(_forward_in_bf16, extractor)  # a method: copies of the extractor keep it
    if compiled:
        extractor.compile()


def for_training(extractor: nn.Module) -> None:
    """Lets an extractor in eval mode that is part of training, such as a teacher, compute as in training."""
    setattr(extractor, _IN_TRAINING, True)


def _forward_in_bf16(self: nn.Module, face: Face) -> Tensor:
    enabled = self.training or getattr(self, _IN_TRAINING, False)
    with torch.autocast(face.image.device.type, torch.bfloat16, enabled=enabled):
        features: Tensor = type(self).forward(self, face)
    return features.float()
