"""Hyper-parameter studies for a target without labels; the only package that imports optuna."""

from .space import LAST_EPOCH, Dimension

#: The ways to suggest values, and to stop poor trials early.
SAMPLERS = ("tpe", "gp")
PRUNERS = ("none", "median", "hyperband")

__all__ = ["LAST_EPOCH", "PRUNERS", "SAMPLERS", "Dimension"]
