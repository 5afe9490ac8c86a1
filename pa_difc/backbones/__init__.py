"""Feature extractors by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from ..util.registry import Registry

if TYPE_CHECKING:
    from .extractor import FaceExtractor as FaceExtractor
    from .groups import parameter_groups as parameter_groups
    from .make import make_backbone as make_backbone
    from .pretrained import PretrainedReport as PretrainedReport
    from .pretrained import load_pretrained as load_pretrained
    from .small import SmallNet as SmallNet
    from .spec import FEATURE_HEADS as FEATURE_HEADS
    from .spec import LANDMARK_BRANCHES as LANDMARK_BRANCHES
    from .spec import PRECISIONS as PRECISIONS
    from .spec import BackboneSpec as BackboneSpec
    from .speed import for_speed as for_speed

BACKBONES: Registry[BackboneSpec] = Registry(
    "backbone",
    {
        "small": "pa_difc.backbones.small:SMALL",
        "ir18": "pa_difc.backbones.ir:IR18",
        "ir50": "pa_difc.backbones.ir:IR50",
        "mobilefacenet": "pa_difc.backbones.mobilefacenet:MOBILEFACENET",
        "mobilenet_v2": "pa_difc.backbones.torchvision_nets:MOBILENET_V2",
        "resnet18": "pa_difc.backbones.torchvision_nets:RESNET18",
        "resnet50": "pa_difc.backbones.torchvision_nets:RESNET50",
        "inception_resnet_v1": "pa_difc.backbones.facenet:INCEPTION_RESNET_V1",
        "expression": "pa_difc.backbones.expression:EXPRESSION",
    },
    "pa_difc.backbones",
    families={"timm": "pa_difc.backbones.timm_nets:timm_backbone"},
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "extractor": ["FaceExtractor"],
        "groups": ["parameter_groups"],
        "make": ["make_backbone"],
        "pretrained": ["PretrainedReport", "load_pretrained"],
        "small": ["SmallNet"],
        "spec": ["BackboneSpec", "FEATURE_HEADS", "LANDMARK_BRANCHES", "PRECISIONS"],
        "speed": ["for_speed"],
    },
)
__all__ += ["BACKBONES"]
