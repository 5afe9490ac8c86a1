"""How many cells of a grid run in parallel by default, and on how many threads each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..backbones import BACKBONES
from ..data import SAMPLERS
from ..losses import LOSSES
from ..methods import METHODS
from ..util.code import definition
from ..util.registry import Registry
from .ready import THREADS, usable_cores
from .settings import Settings


def usual_jobs(cells: Sequence[Settings]) -> int | None:
    """The default number of workers; None on a GPU, where cells run in turn.

    It is the number of cores that this process may use, at most that of cells. If a cell needs an entry that the
    running script registered, which other processes don't know, the number is 1.
    """
    if not all(cell.run.device.startswith("cpu") for cell in cells):
        return None
    return 1 if any(map(_needs_script, cells)) else max(1, min(usable_cores(), len(cells)))


def _needs_script(cell: Settings) -> bool:
    """Whether a cell names an entry that is defined in the running script, not in a plugin or package."""
    named: list[tuple[Registry[Any], str]] = [
        (METHODS, cell.method.name),
        (LOSSES, cell.loss.name),
        (BACKBONES, cell.model.backbone),
        *((SAMPLERS, name) for name in (cell.data.sampler, cell.data.target_sampler) if name in SAMPLERS),
    ]
    return any(definition(registry[name]).__module__ == "__main__" for registry, name in named)


@contextmanager
def threads_of(jobs: int | None) -> Iterator[None]:
    """Inside the block, this process uses as many threads as a worker, unless ``jobs`` is None."""
    before = torch.get_num_threads()
    if jobs is not None:
        torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
