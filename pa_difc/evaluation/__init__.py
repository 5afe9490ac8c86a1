"""Predictions and their scores."""

from .inference import Predictions, predict
from .metrics import score

__all__ = ["Predictions", "predict", "score"]
