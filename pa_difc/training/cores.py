"""How many cells of a grid are trained at a time by default, and on how many threads."""

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
from .settings import Settings

#: Of a cell that is trained beside others. One each: results must not depend on how many there are, and threads of
#: several processes wait for each other.
THREADS = 1

#: The environment of a worker: libraries read it when they are imported.
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(THREADS))


def usual_jobs(cells: Sequence[Settings]) -> int | None:
    """As many as this process may use cores, never more than cells; None where a GPU trains them, one after the other.

    Containers, batch systems and ``LOKY_MAX_CPU_COUNT`` may leave fewer cores than the machine has. What the script
    that runs has registered itself no other process knows: there it is one.
    """
    from loky import cpu_count

    if not all(cell.run.device.startswith("cpu") for cell in cells):
        return None
    return 1 if any(map(_needs_script, cells)) else max(1, min(int(cpu_count()), len(cells)))


def worker_process() -> Any:
    """An executor of one process of loky's, with a worker's environment; it may die, and says so."""
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(1, env=ENVIRONMENT)


def _needs_script(cell: Settings) -> bool:
    """Whether a cell names an entry that is defined in the script itself, in no plugin and in no package."""
    named: list[tuple[Registry[Any], str]] = [
        (METHODS, cell.method.name),
        (LOSSES, cell.loss.name),
        (BACKBONES, cell.model.backbone),
        *((SAMPLERS, name) for name in (cell.data.sampler, cell.data.target_sampler) if name in SAMPLERS),
    ]
    return any(definition(registry[name]).__module__ == "__main__" for registry, name in named)


@contextmanager
def threads_of(jobs: int | None) -> Iterator[None]:
    """Within the block this process computes as a worker does, if there are jobs at all."""
    before = torch.get_num_threads()
    if jobs is not None:
        torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
