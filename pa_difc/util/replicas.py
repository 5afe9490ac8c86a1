"""Replicas of models that several processes train; torch's DistributedDataParallel averages their gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from .distributed import processes, total


class _Part:
    """Scales a process's gradients by its share of the samples; DistributedDataParallel averages processes alike.

    A hook of the parameters, which has no reference to the replica: it would keep it, its buffers and its process
    group's threads for good.
    """

    share = 1.0

    def __call__(self, gradient: Tensor) -> Tensor:
        return gradient if self.share == 1.0 else gradient * self.share


class Replicas:
    """Replaces models by replicas while they are trained in several processes, and averages their gradients.

    On CUDA, BatchNorm sees the whole batch (SyncBatchNorm). That does not exist for CPUs: there each process normalises
    its part, and :meth:`merge_statistics` averages the running statistics.

    Args:
        models: by name; replaced during :meth:`training`, and restored afterwards.
    """

    def __init__(self, models: MutableMapping[str, nn.Module]) -> None:
        self.models = models
        self._part = _Part()
        self._replicas: dict[str, nn.Module] = {}
        if processes() > 1:
            trained = {n: m for n, m in models.items() if any(p.requires_grad for p in m.parameters())}
            self._replicas = {name: self._replica(model) for name, model in trained.items()}

    @property
    def share(self) -> float:
        """The number of this process's samples in the step, relative to an even share."""
        return self._part.share

    @share.setter
    def share(self, share: float) -> None:
        self._part.share = share

    @contextmanager
    def training(self) -> Iterator[None]:
        """Replaces the container's models by replicas within the block."""
        originals = {name: self.models[name] for name in self._replicas}
        for name, replica in self._replicas.items():
            self.models[name] = replica
        try:
            yield
        finally:
            for name, model in originals.items():
                self.models[name] = model

    def merge_statistics(self, *averages: nn.Module) -> None:
        """Averages BatchNorm's running statistics over processes, unless SyncBatchNorm keeps them the same.

        Args:
            *averages: further modules with the replicas' statistics, such as averages of their weights.
        """
        if not self._replicas:
            return
        for module in (m for top in (*self._replicas.values(), *averages) for m in top.modules()):
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
                for statistic in (module.running_mean, module.running_var):
                    if statistic is not None:
                        statistic.copy_(total(statistic) / processes())

    def _replica(self, model: nn.Module) -> nn.Module:
        if next(model.parameters()).is_cuda:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        with warnings.catch_warnings():
            # The argument is renamed in newer torch. If buffers were broadcast in each forward pass, they would change
            # before MCD's backward passes.
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            replica = _Replica(model, broadcast_buffers=False)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._part)  # type: ignore[no-untyped-call]
        return replica


def original(model: nn.Module) -> nn.Module:
    """The model behind a replica; a model that is not a replica is returned unchanged."""
    return cast(nn.Module, model.module) if isinstance(model, _Replica) else model


class _Replica(nn.parallel.DistributedDataParallel):
    """A replica that passes on its model's attributes, such as ``num_features``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)
