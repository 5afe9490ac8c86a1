"""Feature extractors by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from ..util.names import lookup
from .extractor import FaceExtractor, extractor_on
from .facenet import InceptionResnetTrunk
from .groups import parameter_groups
from .ir import ir18, ir50
from .mobilefacenet import MobileFaceNetTrunk
from .pretrained import PretrainedReport, load_pretrained
from .small import SmallNet, SmallTrunk
from .speed import PRECISIONS, for_speed
from .torchvision_nets import MobileNetV2Trunk, resnet18, resnet50

__all__ = [
    "BACKBONES",
    "PRECISIONS",
    "BackboneSpec",
    "FaceExtractor",
    "PretrainedReport",
    "SmallNet",
    "for_speed",
    "load_pretrained",
    "make_backbone",
    "parameter_groups",
]


@dataclass(frozen=True)
class BackboneSpec:
    """A feature extractor as the commands know it."""

    build: Callable[..., nn.Module]  #: takes ``head`` and ``local_head``
    input_px: int  #: side of the faces it takes
    lr: float  #: default learning rate
    about: str
    head: str = "global_local"  #: default head


def _small(*, head: str = "global_only", local_head: str = "conv") -> nn.Module:
    if (head, local_head) == ("global_only", "conv"):
        return SmallNet()
    return extractor_on(SmallTrunk, head=head, local_head=local_head)


BACKBONES: dict[str, BackboneSpec] = {
    "small": BackboneSpec(_small, 48, 0.02, "four convolution blocks, for CPU work", head="global_only"),
    "ir18": BackboneSpec(partial(extractor_on, ir18), 112, 0.001, "the paper's smaller face network (Table 5)"),
    "ir50": BackboneSpec(partial(extractor_on, ir50), 112, 0.001, "the paper's face network"),
    "mobilefacenet": BackboneSpec(
        partial(extractor_on, MobileFaceNetTrunk), 112, 0.001, "a face network of a million weights"
    ),
    "mobilenet_v2": BackboneSpec(partial(extractor_on, MobileNetV2Trunk), 112, 0.001, "torchvision's MobileNetV2"),
    "resnet18": BackboneSpec(partial(extractor_on, resnet18), 112, 0.001, "torchvision's ResNet-18"),
    "resnet50": BackboneSpec(partial(extractor_on, resnet50), 112, 0.001, "torchvision's ResNet-50"),
    "inception_resnet_v1": BackboneSpec(
        partial(extractor_on, InceptionResnetTrunk), 160, 0.001, "facenet-pytorch's network", head="global_only"
    ),
}


def make_backbone(name: str, *, head: str | None = None, local_head: str = "conv") -> nn.Module:
    """A feature extractor with fresh weights.

    Args:
        name: one of :data:`BACKBONES`.
        head: "global_local", the paper's 384 features, or "global_only", the average of the last map.
        local_head: "conv" or "ir", the branch of a landmark; see :class:`.head.GlobalLocalHead`.

    Raises:
        UserError: the name or an option is unknown, or the backbone can't have it.
    """
    spec = lookup("backbone", name, BACKBONES)
    return spec.build(head=head or spec.head, local_head=local_head)
