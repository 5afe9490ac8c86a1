"""Checks how many workers fit in memory before they are started."""

from __future__ import annotations

import sys
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

#: Bytes that a worker takes before it has a cell: Python, torch, this package; forked workers share most of them.
WORKER = 200_000_000 if sys.platform == "linux" else 500_000_000

#: Memory controllers of cgroups v2 and v1, with their files for limit and usage.
_GROUPS = {"": ("memory.max", "memory.current"), "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}


def workers_that_fit(jobs: int, settings: Settings, source: Domain, target: Domain) -> int:
    """How many workers fit in memory, at least one; prints a line if they are fewer than asked for.

    Args:
        jobs: the number asked for.
        settings: the resolved settings of one cell.
        source, target: the data, which all workers share.
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
    """Estimates a worker's memory in bytes: the process, weights with their training state, and a batch's feature maps.

    Args:
        settings: resolved.
        domain: faces to measure with.
    """
    if isinstance(domain.train, FeatureSet) or not settings.run.device.startswith("cpu"):
        return WORKER  # heads are small, and a GPU has its own memory
    with suppress(Exception):  # a network's errors are reported when its cells are trained
        network = make_extractor(settings)
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
        with torch.no_grad(), eval_mode(network), _measured(network) as sizes:
            network(domain.train.batch(np.arange(2), torch.device("cpu")))
        of_a_face = sum(sizes) // 2
        # 6: weights, gradients, two moments, an average, a checkpoint being written. 2: a batch of each domain.
        return WORKER + 6 * weights + 2 * settings.data.batch_size * of_a_face
    return WORKER


@contextmanager
def _measured(network: nn.Module) -> Iterator[list[int]]:
    """Yields a list of the sizes of layers' outputs in bytes, which training keeps until the end of a step."""
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
    """Available memory in bytes, within the limits of a container or job; None if the system doesn't tell."""
    found = [*_of_machine(), *_of_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]
    return min(found, default=None)


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024


def _of_groups(groups: Path, root: Path) -> Iterator[int]:
    """What is left in this process's control groups: their limits minus the memory that can't be reclaimed."""
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
    with suppress(OSError, ValueError, KeyError):  # "max" is not a number: no limit
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        files = int(stat.get("total_inactive_file", stat["inactive_file"]))
        yield int((folder / limit).read_text()) - int((folder / used).read_text()) + files
