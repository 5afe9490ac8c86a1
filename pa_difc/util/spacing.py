"""Takes some of many things, evenly spaced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def evenly_spaced(number: int, most: int) -> npt.NDArray[np.int64]:
    """The indices of at most ``most`` of ``number`` things, the first and the last among them."""
    return np.linspace(0, number - 1, min(number, most)).astype(np.int64)
