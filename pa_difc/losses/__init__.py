"""The classification losses by name; every method accepts any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from ..util.registry import Registry

if TYPE_CHECKING:
    from ..functional import mean_probs as mean_probs
    from .baselines import FocalLoss as FocalLoss
    from .baselines import LogitAdjustedLoss as LogitAdjustedLoss
    from .baselines import WeightedLoss as WeightedLoss
    from .cosine import ArcFaceOnCosines as ArcFaceOnCosines
    from .cosine import CosFaceOnCosines as CosFaceOnCosines
    from .cosine import MarginHeadLoss as MarginHeadLoss
    from .difc import DIFCLoss as DIFCLoss
    from .make import loss_state as loss_state
    from .make import make_loss as make_loss
    from .protocols import DescribedLoss as DescribedLoss
    from .protocols import EpochedLoss as EpochedLoss
    from .protocols import EvaluatedLoss as EvaluatedLoss
    from .protocols import SteppedLoss as SteppedLoss
    from .schedule import Phase as Phase
    from .schedule import Schedule as Schedule
    from .spec import ClassificationLoss as ClassificationLoss
    from .spec import LossInputs as LossInputs
    from .spec import LossSpec as LossSpec

LOSSES: Registry[LossSpec] = Registry(
    "loss",
    {
        "ce": "pa_difc.losses.baselines:CROSS_ENTROPY",
        "drw": "pa_difc.losses.family:DRW",
        "margin": "pa_difc.losses.family:MARGIN",
        "di": "pa_difc.losses.family:DI",
        "difc": "pa_difc.losses.family:DIFC",
        "weighted_inverse": "pa_difc.losses.baselines:WEIGHTED_INVERSE",
        "weighted_effective": "pa_difc.losses.baselines:WEIGHTED_EFFECTIVE",
        "focal": "pa_difc.losses.baselines:FOCAL",
        "logit_adjusted": "pa_difc.losses.baselines:LOGIT_ADJUSTED",
        "balanced_softmax": "pa_difc.losses.baselines:BALANCED_SOFTMAX",
        "ldam": "pa_difc.losses.family:LDAM",
        "ldam_drw": "pa_difc.losses.family:LDAM_DRW",
        "cosface": "pa_difc.losses.cosine:COSFACE",
        "arcface": "pa_difc.losses.cosine:ARCFACE",
    },
    "pa_difc.losses",
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baselines": ["FocalLoss", "LogitAdjustedLoss", "WeightedLoss"],
        "cosine": ["ArcFaceOnCosines", "CosFaceOnCosines", "MarginHeadLoss"],
        "difc": ["DIFCLoss", "mean_probs"],
        "make": ["loss_state", "make_loss"],
        "protocols": ["DescribedLoss", "EpochedLoss", "EvaluatedLoss", "SteppedLoss"],
        "schedule": ["Phase", "Schedule"],
        "spec": ["ClassificationLoss", "LossInputs", "LossSpec"],
    },
)
__all__ += ["LOSSES"]
