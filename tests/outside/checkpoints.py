"""What has to be allowed so that the host's Ignite loads its own checkpoints, with nothing else allowed."""

from contextlib import contextmanager

import numpy as np
import torch
from pytorch_adapt.containers import LRSchedulers, Misc, Models, Optimizers

#: The containers that hold the state dicts; the arrays and numbers of a ScoreHistory, and what they are made with.
TYPES = [
    *(Models, Optimizers, LRSchedulers, Misc),
    *(np.ndarray, np.dtype, type(np.dtype("f8")), type(np.dtype("i8"))),
    *(np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]),
]


@contextmanager
def allowed(types=TYPES):
    """torch.serialization.safe_globals, also for torch 2.4, which has only its parts."""
    if hasattr(torch.serialization, "safe_globals"):
        with torch.serialization.safe_globals(types):
            yield
        return
    torch.serialization.add_safe_globals(types)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
