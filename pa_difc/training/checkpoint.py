"""The state of a training run in a file: containers and random number generators, after a whole epoch."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..methods.slot import LossSlot
from ..util.errors import UserError
from ..util.files import check_archive, write_atomic

_CONTAINERS = ("models", "optimizers", "lr_schedulers", "misc")


def save_checkpoint(path: Path, adapter: LossSlot, *, key: str, epoch: int, history: list[dict[str, Any]]) -> None:
    """Writes everything that exact resuming needs, atomically.

    Args:
        path: the file.
        adapter: a method.
        key: of the run; a checkpoint of another run is refused.
        epoch: epochs done.
        history: what the epochs left in the log.

    Raises:
        UserError: the file can't be written; the one before is untouched.
    """
    state = {name: getattr(adapter, name).state_dict() for name in _CONTAINERS}
    state |= {"key": key, "epoch": epoch, "history": history, "random": _random_state()}
    buffer = io.BytesIO()  # torch.save turns a full disk into an error of its own; bytes don't
    torch.save(state, buffer)
    write_atomic(path, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: Path, adapter: LossSlot, *, key: str) -> tuple[int, list[dict[str, Any]]]:
    """Puts a run back to where its checkpoint was written.

    Returns:
        Epochs done and their history.

    Raises:
        UserError: the file is damaged, or belongs to another run.
    """
    state = read_state(path)
    if (then := state["key"]) != key:
        raise UserError(f"checkpoint {path} belongs to another run ({then}, not {key}); remove it or change --out")
    try:
        for name in _CONTAINERS:
            getattr(adapter, name).load_state_dict(state[name])
        _set_random_state(state["random"])
        epoch, history = int(state["epoch"]), list(state["history"])
        if len(history) != epoch:
            raise ValueError(f"{epoch} epochs, {len(history)} in its history")
    except Exception as error:  # the containers raise whatever a part that is not as they wrote it makes them raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"checkpoint {path} is damaged ({reason}); remove it to start this run again") from None
    return epoch, history


def read_state(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; nothing in it is executed.

    Raises:
        UserError: the file is damaged.
    """
    try:
        check_archive(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state["key"], state["models"]
    except Exception:  # a file that is not what it seems can make the reader raise anything
        raise UserError(f"checkpoint {path} is damaged; remove it to start this run again") from None
    return state


def seed_everything(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's generators, CUDA's among them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _random_state() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state(legacy=True)
    assert isinstance(keys, np.ndarray)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
