"""Digests of arrays, texts and random generators, to find out whether they change."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

K = TypeVar("K", bound=Hashable)

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
#: At most so many elements of a tensor are hashed; of a larger one these, evenly spaced, and the sum.
_MOST_ELEMENTS = 2_000_000


def changed(before: Mapping[K, str], now: Mapping[K, str]) -> K | None:
    """The first key whose digest is new or differs; None if there is none."""
    return next((key for key, value in now.items() if before.get(key) != value), None)


def hash_of(text: str) -> str:
    """A short hash of a text."""
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def digest_of_array(value: Tensor | np.ndarray) -> str:
    """A hash of shape, type and values; of a large array, of some values and the sum."""
    if isinstance(value, Tensor):
        if is_lazy(value) or value.layout is not torch.strided:
            return hash_of(f"{value.dtype}{value.layout}")
        flat: Any = value.detach().reshape(-1)
        if len(flat) > _MOST_ELEMENTS:
            sampled = flat[:: len(flat) // _MOST_ELEMENTS + 1]
            return hash_of(f"{value.dtype}{tuple(value.shape)}{flat.sum().item()}") + digest_of_array(sampled)
        flat = flat.cpu().contiguous()
        raw = (
            flat.view(torch.uint8).numpy().tobytes() if len(flat) and flat.dtype != torch.bool else repr(flat.tolist())
        )
        return hash_of(f"{value.dtype}{tuple(value.shape)}") + _of_bytes(raw)
    if value.dtype.hasobject:
        return hash_of(repr(value.tolist()))
    return hash_of(f"{value.dtype}{value.shape}") + _of_bytes(value.tobytes())


def _of_bytes(raw: bytes | str) -> str:
    return hash_of(raw) if isinstance(raw, str) else hashlib.blake2b(raw, digest_size=8).hexdigest()


def state_of(generator: Any) -> Any:
    """The state of a random generator of NumPy, torch or Python, as plain values."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, torch.Generator):
        return generator.get_state().tolist()
    if isinstance(generator, np.random.RandomState):
        name, keys, *rest = generator.get_state(legacy=True)
        return name, np.asarray(keys).tolist(), rest
    return generator.getstate()
