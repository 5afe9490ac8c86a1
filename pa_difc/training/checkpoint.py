"""Checkpoints of a training run after a whole epoch: containers and random number generators."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from ..methods.slot import LossSlot
from ..util.errors import UserError
from ..util.files import check_archive, write_atomic

_CONTAINERS = ("models", "optimizers", "lr_schedulers", "misc")


def save_checkpoint(path: Path, adapter: LossSlot, *, key: str, epoch: int, history: list[dict[str, Any]]) -> None:
    """Atomically writes everything needed to resume exactly.

    Args:
        path: the file.
        adapter: a method.
        key: the run's key; a checkpoint with another key is refused on loading.
        epoch: epochs done.
        history: the log entries of these epochs.

    Raises:
        UserError: the file can't be written; the previous one is kept.
    """
    state = {name: getattr(adapter, name).state_dict() for name in _CONTAINERS}
    state |= {"key": key, "epoch": epoch, "history": history, "random": random_state()}
    buffer = io.BytesIO()  # torch.save would hide a full disk behind its own error
    torch.save(state, buffer)
    write_atomic(path, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: Path, adapter: LossSlot, *, key: str) -> tuple[int, list[dict[str, Any]]]:
    """Restores a run from its checkpoint.

    Returns:
        Epochs done and their history.

    Raises:
        UserError: the file is damaged, belongs to another run, or has state of another form than the method's.
    """
    state = read_state(path)
    if (then := state["key"]) != key:
        raise UserError(f"checkpoint {path} belongs to another run ({then}, not {key}); remove it or change --out")
    try:
        for name in _CONTAINERS:
            getattr(adapter, name).load_state_dict(state[name])
        set_random_state(state["random"])
        epoch, history = int(state["epoch"]), list(state["history"])
        if len(history) != epoch:
            raise ValueError(f"{epoch} epochs, {len(history)} in its history")
    except Exception as error:  # containers can raise anything on damaged state
        if misfit := _misfit(state, adapter):
            raise UserError(f"checkpoint {path} {misfit}; remove it to start this run again") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"checkpoint {path} is damaged ({reason}); remove it to start this run again") from None
    return epoch, history


def _misfit(state: dict[str, Any], adapter: LossSlot) -> str | None:
    """The first tensor of a readable checkpoint that the method's state has in another shape, or lacks; or the like."""
    for name in ("models", "misc"):
        try:
            saved, own = shapes_of(state[name]), shapes_of(getattr(adapter, name).state_dict())
        except Exception:  # not the containers' state at all
            return None
        for key in {**saved, **own}:
            if key not in own:
                return f"has {name}.{key} of shape {saved[key]}, which the method does not have"
            if key not in saved:
                return f"lacks {name}.{key} of shape {own[key]}"
            if saved[key] != own[key] is not None:
                return f"has {name}.{key} of shape {saved[key]}, and the method has it of shape {own[key]}"
    return None


def shapes_of(state: dict[str, Any]) -> dict[str, tuple[int, ...] | None]:
    """Shapes of the tensors in a container's state, None for a lazy module's unknown ones."""
    return {
        f"{key}.{entry}": None if is_lazy(value) else tuple(value.shape)
        for key, entries in state.items()
        for entry, value in entries.items()
        if isinstance(value, torch.Tensor)
    }


def read_state(path: Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU; no code in it is executed.

    Raises:
        UserError: the file is damaged.
    """
    try:
        check_archive(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state["key"], state["models"]
    except Exception:  # the reader can raise anything on a damaged file
        raise UserError(f"checkpoint {path} is damaged; remove it to start this run again") from None
    return state


def seed_everything(seed: int) -> None:
    """Seeds the generators of Python, NumPy and torch, including CUDA's."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """The state of the generators of Python, NumPy and torch, as plain values and tensors."""
    name, keys, *rest = np.random.get_state(legacy=True)
    assert isinstance(keys, np.ndarray)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Sets the state that :func:`random_state` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
