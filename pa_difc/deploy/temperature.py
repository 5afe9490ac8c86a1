"""One temperature for all classes, fitted on the source faces that were held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..util.errors import UserError
from ..util.files import read_arrays

if TYPE_CHECKING:
    from .model import FaceModel

_LEAST = 50  #: held-out faces that a temperature is fitted on, at least
_RANGE = (0.05, 20.0)  #: of temperatures
_FLOOR = float(np.finfo(np.float32).tiny)


def calibrate(model: FaceModel, folder: Path) -> str:
    """Gives a model a temperature, fitted on its run's predictions for held-out faces of the source.

    p → p^(1/T), normalised (Guo et al. 2017, arXiv:1706.04599); which class is predicted stays the same. No label of
    the target is read, so that nothing is known about how sure the model may be there.

    Args:
        model: changed in place.
        folder: of its run.

    Returns:
        What was done, for people.

    Raises:
        UserError: the run's predictions are not there or too few, or the model is calibrated already.
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
    """What a model's temperature was fitted on, for people; empty where it has none."""
    if (found := settings.get("calibration")) is None:
        return ""
    before, after = found["nll"]
    return (
        f"temperature {found['temperature']:.2f}, fitted on {found['faces']:,} held-out faces of the source, where the "
        f"loss of the labels goes from {before:.3f} to {after:.3f} nats; on the target it may still be overconfident"
    )


def temperature(probs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """The T in [0.05, 20] at which the labels are most probable.

    Args:
        probs: ``(N, K)``.
        labels: ``(N,)``.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda x: nll(probs, labels, float(np.exp(x))), bounds=np.log(_RANGE), method="bounded")
    return float(np.exp(found.x))


def nll(probs: npt.NDArray[Any], labels: npt.NDArray[Any], t: float) -> float:
    """The mean of −log p^(1/t) of the labels, normalised, in nats."""
    from scipy.special import log_softmax

    log_probs = log_softmax(np.log(probs.clip(_FLOOR)) / t, axis=1)
    return float(-log_probs[np.arange(len(labels)), labels].mean())
