"""The device that training runs on."""

from __future__ import annotations

import os

import torch

from ..util.errors import UserError


def set_device(device: str, deterministic: bool = False) -> torch.device:
    """Finds a device by name, and sets torch to deterministic algorithms if asked to.

    Raises:
        UserError: there is no such device.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    return find_device(device)


def find_device(device: str) -> torch.device:
    """Finds a device by name.

    Raises:
        UserError: there is no such device.
    """
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
        if chosen.type not in ("cpu", "cuda"):
            raise RuntimeError  # "meta" has no values; other devices are untested
    except (RuntimeError, AssertionError, NotImplementedError, ValueError):
        found = f"cuda:0 … cuda:{torch.cuda.device_count() - 1}" if torch.cuda.is_available() else "no CUDA device"
        raise UserError(f"device {device!r} can't be used: must be cpu or cuda ({found} here)") from None
    return chosen
