"""Checks that an exported file predicts what the model itself does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.crops import typical_points
from ..util.errors import UserError

if TYPE_CHECKING:
    from .model import FaceModel

TOLERANCE = 1e-4  #: largest allowed difference of a probability


def example(model: FaceModel, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A batch to trace and check with: noise ``(n, 3, P, P)``, and landmarks ``(n, 5, 2)`` near typical places."""
    generator = torch.Generator().manual_seed(seed)
    p = model.size_px
    points = torch.from_numpy(typical_points(model.settings["input"]["crop"], p))
    jitter = torch.randn(n, 5, 2, generator=generator) * p / 30
    return torch.rand(n, 3, p, p, generator=generator), points + jitter


def checked(model: FaceModel, path: Path, run: Callable[[Tensor, Tensor], npt.NDArray[np.float32]]) -> str:
    """Compares an exported file's predictions with the model's, on other batch sizes than the traced one.

    Args:
        model: in eval mode, on the CPU.
        path: the exported file.
        run: the file's predictions, from images ``(N, 3, P, P)`` and points ``(N, 5, 2)`` to ``(N, K)``.

    Returns:
        A line on how far they agree.

    Raises:
        UserError: they differ by more than :data:`TOLERANCE`; the file is removed.
    """
    worst = 0.0
    with torch.no_grad():
        for n in (1, 5, 8):
            image, points = example(model, n, seed=n)
            worst = max(worst, float(np.abs(model(image, points).numpy() - run(image, points)).max()))
    if not worst <= TOLERANCE:
        path.unlink()
        raise UserError(f"{path}: its probabilities differ by {worst:.1e} from the model's (at most {TOLERANCE:g})")
    return f"{path}: probabilities within {worst:.0e} of the model's"
