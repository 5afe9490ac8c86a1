"""Predictions, their scores, and criteria for choosing a model without target labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from ..util.registry import Registry

if TYPE_CHECKING:
    from .criteria import Criterion
    from .inference import Predictions as Predictions
    from .inference import predict as predict
    from .metrics import prediction_counts as prediction_counts
    from .metrics import score as score

#: Criteria that score a candidate without target labels, of this package and of plugins.
CRITERIA: Registry[Criterion] = Registry(
    "criterion",
    {
        "im": "pa_difc.evaluation.criteria:IM",
        "class_ami": "pa_difc.evaluation.criteria:CLASS_AMI",
        "bnm": "pa_difc.evaluation.criteria:BNM",
        "snd": "pa_difc.evaluation.criteria:SND",
        "dev": "pa_difc.evaluation.criteria:DEV",
        "src_macro": "pa_difc.evaluation.criteria:SRC_MACRO",
    },
    "pa_difc.criteria",
)

__getattr__, _names, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"inference": ["Predictions", "predict"], "metrics": ["prediction_counts", "score"]},
)
__all__ = ["CRITERIA", "Predictions", "predict", "prediction_counts", "score"]


def __dir__() -> list[str]:
    return __all__
