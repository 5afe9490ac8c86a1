"""Temperature scaling: one temperature for all classes, fitted on held-out source faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..util.errors import UserError
from ..util.files import read_arrays

if TYPE_CHECKING:
    from .model import FaceModel

_LEAST = 50  #: fewer held-out faces are too few to fit a temperature on
_RANGE = (0.05, 20.0)  #: of temperatures
_FLOOR = float(np.finfo(np.float32).tiny)


def calibrate(model: FaceModel, folder: Path) -> str:
    """Calibrates a model by a temperature, fitted on its run's predictions for held-out source faces.

    p → p^(1/T), normalised (Guo et al. 2017, arXiv:1706.04599); the predicted classes stay the same. No target label is
    read, so the model may still be over- or underconfident on the target.

    Args:
        model: changed in place.
        folder: of its run.

    Returns:
        A line on the temperature and its effect.

    Raises:
        UserError: the run's predictions are missing or too few, or the model is already calibrated.
    """
    if model.settings["adjustment"] is not None:
        raise UserError(f"{folder}: it was calibrated on held-out faces of the source already; leave --calibrate out")
    if not (folder / "outputs.npz").exists():
        raise UserError(f"--calibrate needs a finished run's folder, with its outputs.npz; {folder} has none")
    found = read_arrays(folder / "outputs.npz", ("source_probs", "source_labels"))
    probs, labels = found["source_probs"].astype(np.float64), found["source_labels"].astype(np.int64)
    if len(labels) < _LEAST:
        raise UserError(f"{folder}: {len(labels)} held-out faces of the source; --calibrate needs at least {_LEAST}")
    t, k = temperature(probs, labels), probs.shape[1]
    model.scale = 1 / t
    model.settings = model.settings | {
        "adjustment": {"ratio": [1.0] * k, "scale": 1 / t, "bias": [0.0] * k},
        "calibration": {"temperature": t, "faces": len(labels), "nll": [nll(probs, labels, x) for x in (1.0, t)]},
    }
    return temperature_line(model.settings)


def temperature_line(settings: dict[str, Any]) -> str:
    """A line on how a model's temperature was fitted; empty if it has none."""
    if (found := settings.get("calibration")) is None:
        return ""
    before, after = found["nll"]
    return (
        f"temperature {found['temperature']:.2f}, fitted on {found['faces']:,} held-out faces of the source, where the "
        f"log loss goes from {before:.3f} to {after:.3f} nats; on the target it may still be overconfident"
    )


def temperature(probs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """The T in [0.05, 20] that minimises the negative log-likelihood :func:`nll`.

    Args:
        probs: ``(N, K)`` probabilities.
        labels: ``(N,)`` classes.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda x: nll(probs, labels, float(np.exp(x))), bounds=np.log(_RANGE), method="bounded")
    return float(np.exp(found.x))


def nll(probs: npt.NDArray[Any], labels: npt.NDArray[Any], t: float) -> float:
    """The mean negative log-likelihood of the labels at temperature t, in nats."""
    from scipy.special import log_softmax

    log_probs = log_softmax(np.log(probs.clip(_FLOOR)) / t, axis=1)
    return float(-log_probs[np.arange(len(labels)), labels].mean())
