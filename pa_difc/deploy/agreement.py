"""Whether a model in another format predicts what the model does."""

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

TOLERANCE = 1e-4  #: largest difference of a probability


def example(model: FaceModel, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A batch to trace and to check with: noise, and points around where a face has them."""
    generator = torch.Generator().manual_seed(seed)
    p = model.size_px
    points = torch.from_numpy(typical_points(model.settings["input"]["crop"], p))
    jitter = torch.randn(n, 5, 2, generator=generator) * p / 30
    return torch.rand(n, 3, p, p, generator=generator), points + jitter


def checked(model: FaceModel, path: Path, run: Callable[[Tensor, Tensor], npt.NDArray[np.float32]]) -> str:
    """Compares predictions on batches of other sizes than the traced one.

    Raises:
        UserError: they differ; the file is removed.
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
