"""Whether there is room in memory for so many workers, before they are started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data.domains import Domain
from ..data.features import FeatureSet
from ..methods.hooks import eval_mode
from .build import make_extractor
from .settings import Settings

#: What a worker takes before it has a cell: Python, torch, this package.
WORKER = 500_000_000

#: Controllers of memory, of the second and of the first version: the files of a limit and of what is used.
_GROUPS = {"": ("memory.max", "memory.current"), "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}


def workers_that_fit(jobs: int, settings: Settings, source: Domain, target: Domain) -> int:
    """How many workers there is memory for, one at least; a line says so if they are fewer than asked for.

    Args:
        jobs: the number that was asked for.
        settings: resolved, of one of the cells.
        source, target: the data, which all share.
    """
    free = free_bytes()
    if jobs == 1 or free is None:
        return jobs
    each = worker_bytes(settings, target if source.empty else source)
    fit = max(1, min(jobs, int(free // each)))
    if fit < jobs:
        why = f"each needs about {each / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free"
        print(f"{fit} workers instead of {jobs}: {why}", flush=True)
    return fit


def worker_bytes(settings: Settings, domain: Domain) -> int:
    """What a worker takes, about: itself, the weights with all that training keeps of them, the maps of a batch.

    Args:
        settings: resolved.
        domain: faces to look at.
    """
    if isinstance(domain.train, FeatureSet) or not settings.run.device.startswith("cpu"):
        return WORKER  # heads are small, and what is on a GPU is not here
    with suppress(Exception):  # what a network raises is its cells' failure
        network = make_extractor(settings)
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
        with torch.no_grad(), eval_mode(network), _measured(network) as sizes:
            network(domain.train.batch(np.arange(2), torch.device("cpu")))
        of_a_face = sum(sizes) // 2
        # Gradients, two moments, an average, a checkpoint that is written; a batch of each domain.
        return WORKER + 6 * weights + 2 * settings.data.batch_size * of_a_face
    return WORKER


@contextmanager
def _measured(network: nn.Module) -> Iterator[list[int]]:
    """The bytes of what each layer puts out, which training keeps until the step is done."""
    sizes: list[int] = []

    def keep(layer: nn.Module, given: object, out: object) -> None:
        if isinstance(out, Tensor):
            sizes.append(out.numel() * out.element_size())

    hooks = [layer.register_forward_hook(keep) for layer in network.modules() if not any(layer.children())]
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()


def free_bytes() -> int | None:
    """Memory that can be had, within the limits of a container or a job; None on systems that don't tell."""
    found = [*_of_machine(), *_of_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]
    return min(found, default=None)


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024


def _of_groups(groups: Path, root: Path) -> Iterator[int]:
    """What the control groups leave that this process is in: their limits less what is used and can't be given back."""
    with suppress(OSError, ValueError):
        for line in groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in _GROUPS:
                continue
            top = root / controllers
            inner = top / path.lstrip("/")
            for folder in (inner, *(p for p in inner.parents if p.is_relative_to(top))):
                yield from _of_group(folder, *_GROUPS[controllers])


def _of_group(folder: Path, limit: str, used: str) -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):  # "max" is no limit
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        files = int(stat.get("total_inactive_file", stat["inactive_file"]))
        yield int((folder / limit).read_text()) - int((folder / used).read_text()) + files
