"""DIFC (Sreenivas et al. 2022) for pytorch-adapt: class margins against source imbalance and target confusion."""

from .losses import LOSSES, DIFCLoss, make_loss
from .losses.schedule import Phase, Schedule
from .methods import (
    DANN,
    MCD,
    METHODS,
    SAFN,
    SourceOnly,
    _host,  # noqa: F401, first: it imports the host without its warnings
)

__version__ = "0.1.0"

__all__ = [
    "DANN",
    "LOSSES",
    "MCD",
    "METHODS",
    "SAFN",
    "DIFCLoss",
    "Phase",
    "Schedule",
    "SourceOnly",
    "__version__",
    "make_loss",
]
