"""Studies that tune settings for a target without labels; the only place that imports optuna."""

from .space import LAST_EPOCH, Dimension

#: How values are suggested, and what stops poor trials early.
SAMPLERS = ("tpe", "gp")
PRUNERS = ("none", "median", "hyperband")

__all__ = ["LAST_EPOCH", "PRUNERS", "SAMPLERS", "Dimension"]
