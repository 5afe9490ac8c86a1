"""Predictions and their scores."""

from .inference import Predictions, predict
from .metrics import score, tally

__all__ = ["Predictions", "predict", "score", "tally"]
