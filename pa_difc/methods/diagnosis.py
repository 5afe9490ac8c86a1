"""Explains in one line why a training step failed, if the models' outputs are of the wrong kind or shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .hooks import eval_mode


def explained(models: Mapping[str, nn.Module], batch: Mapping[str, Any], classifiers: int) -> str | None:
    """What is wrong with the models' outputs; None if nothing is or it can't be determined.

    Args:
        models: with "G" and "C".
        batch: the batch on which the step failed.
        classifiers: how many logits "C" should give: 1 for a tensor, more for a list of that many tensors.
    """
    if "R" in models or "src_imgs" not in batch:  # C does not take G's features
        return None
    with torch.no_grad(), eval_mode(*models.values()):
        try:
            features = models["G"](batch["src_imgs"])
            if not isinstance(features, Tensor):
                return f"G gives {_what(features)}: must give features (N, D), a tensor"
            if features.dim() != 2:
                return f"G gives features of shape {tuple(features.shape)}: must be (N, D), pooled and flattened"
            logits = models["C"](features)
        except Exception:
            return None
    if classifiers == 1:
        return None if isinstance(logits, Tensor) else f"C gives {_what(logits)}: must give logits (N, K), a tensor"
    given = isinstance(logits, (list, tuple)) and all(isinstance(z, Tensor) for z in logits)
    if given and len(logits) == classifiers:
        return None
    return f"C gives {_what(logits)}: must give a list of logits (N, K) of {classifiers} classifiers"


def of_one_classifier(error: Exception) -> str | None:
    """Says that a hook expects one classifier's logits; None if the error is not that of logits in a list."""
    *above, last = str(error).splitlines() or [""]
    hooks = [found[1] for line in above if (found := re.search(r"in (\w+): __call__", line))]
    if not hooks or not isinstance(error, (TypeError, AttributeError)) or not re.search(r"\blist\b", last):
        return None
    return f"{hooks[-1]} expects the logits of one classifier, and C gives a list of several ({last.strip()})"


def _what(value: Any) -> str:
    many = f" of {len(value)}" if isinstance(value, (list, tuple)) else ""
    return f"a {type(value).__name__}{many}"
