"""Several processes on one run: the only file that knows of process groups, through pytorch-ignite's idist.

Each process has a replica of the models and takes its part of every batch; gradients are averaged by torch's
DistributedDataParallel. On one process each function gives back what it is given, and nothing is imported.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn

from .errors import UserError
from .stops import end_within

P = ParamSpec("P")
T = TypeVar("T")

#: How long a process waits for the others: the first one scores and writes alone.
_PATIENCE = timedelta(hours=1)

#: Seconds after a signal in which a process ends that waits for another one. torchrun kills after 30.
_STOP_S = 20.0


def launched() -> bool:
    """Whether a launcher such as torchrun has started this process as one of several."""
    return {"RANK", "MASTER_ADDR"} <= os.environ.keys() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def require_one_process(command: str) -> None:
    """Refuses a launcher where processes would do the same work side by side.

    Raises:
        UserError: there is one.
    """
    if launched():
        raise UserError(f"{command} runs in one process; several on one run are for `pa-difc train` and the recipes")


def join(device: str) -> None:
    """Joins the other processes, if a launcher has started any; only the first one prints from then on.

    Args:
        device: "cpu" (gloo), or "cuda" (NCCL), of which each process gets the one of its local rank.

    Raises:
        UserError: a device is named by number, or there are fewer than processes.
    """
    if not launched() or processes() > 1:
        return
    import ignite.distributed as idist

    if device not in ("cpu", "cuda"):
        raise UserError(f"device {device!r} with several processes: must be cpu or cuda, and each takes its own")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # idist puts what it sends on a GPU wherever it sees one
    elif (local := int(os.environ.get("LOCAL_RANK", "0"))) >= torch.cuda.device_count():
        raise UserError(f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}")
    idist.initialize("nccl" if device == "cuda" else "gloo", timeout=_PATIENCE)
    atexit.register(idist.finalize)
    end_within(_STOP_S)
    if rank() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def needs_all(function: Callable[P, T]) -> Callable[P, T]:
    """A function in which processes wait for each other: one that is lost, or silent for too long, is reported in a
    line.

    Raises:
        UserError: by the function, if a process is gone.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except RuntimeError as error:
            if processes() == 1 or not _is_of_peers(error):
                raise
            minutes = _PATIENCE.total_seconds() / 60
            raise UserError(
                f"another of the {processes()} processes is gone, or silent for {minutes:g} min; the last "
                "checkpoint stays: restart all with the same command"
            ) from None

    return wrapped


def _is_of_peers(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "NCCL" in str(error)


def processes() -> int:
    """How many processes work on this run; in any framework's process group, not only in ours."""
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if there else 1


def rank() -> int:
    """The number of this process, 0 for the first."""
    return torch.distributed.get_rank() if processes() > 1 else 0


def total(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, the same bits in each."""
    if processes() == 1:
        return values
    import ignite.distributed as idist

    return cast(Tensor, idist.all_reduce(values.detach().clone()))  # it adds in place


def whole_mean(mean: Tensor, number: int) -> Tensor:
    """The mean over all processes' samples, from that over a process's own.

    Args:
        mean: a scalar; finite where there is no sample.
        number: of the process's samples.
    """
    if processes() == 1:
        return mean
    weighted, samples = total(torch.stack([mean.double() * number, torch.full_like(mean, number).double()]))
    whole: Tensor = (weighted / samples).to(mean)
    return whole


def part_of_weighted(mean: Tensor, weights: Tensor, size: int) -> Tensor:
    """A weighted mean over a process's samples, made its part of the one over all processes' samples.

    Σ wℓ / Σ w of the part, times (Σ w / n of the part) / (Σ w / n of the whole): averaged over processes by their
    number of samples, as gradients are, this is Σ wℓ / Σ w of the whole.

    Args:
        mean: Σ wℓ / Σ w of the part, a scalar; 0 where nothing weighs anything.
        weights: w of this process's samples, or of those that weigh something.
        size: n, the number of this process's samples.
    """
    if processes() == 1:
        return mean
    weight = weights.double().sum() / max(size, 1)
    whole = whole_mean(weight, size).clamp_min(torch.finfo(torch.float64).tiny)  # 0 if nothing weighs anything
    part: Tensor = mean * (weight / whole).to(mean)
    return part


def from_parts(values: Tensor, part: slice, size: int) -> Tensor:
    """What the processes have, each for its part of ``size`` samples, for all of them."""
    if processes() == 1:
        return values
    whole = values.new_zeros(size, *values.shape[1:])
    whole[part] = values
    return total(whole)


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, for all; the others wait for it. It has to be a value of JSON."""
    if processes() == 1:
        return make()
    import ignite.distributed as idist

    said = json.dumps(make()) if rank() == 0 else None
    value: T = json.loads(str(idist.broadcast(said, safe_mode=True)))
    return value


def on_first(function: Callable[P, T]) -> Callable[P, T]:
    """A function whose body only the first process runs; see :func:`from_first`."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        return from_first(partial(function, *args, **kwargs))

    return wrapped


def means(values: dict[str, float]) -> dict[str, float]:
    """The mean of each value over processes."""
    if processes() == 1:
        return values
    summed = total(torch.tensor(list(values.values()), dtype=torch.float64)) / processes()
    return dict(zip(values, summed.tolist(), strict=True))


def require_same(what: str, state: dict[str, Any]) -> None:
    """Stops a run whose processes have drifted apart: a replica is worth nothing then.

    Args:
        what: in the user's words.
        state: of tensors and plain values.

    Raises:
        UserError: it is not the same everywhere.
    """
    if processes() == 1:
        return
    buffer = io.BytesIO()
    torch.save(state, buffer)
    number = int.from_bytes(hashlib.blake2b(buffer.getbuffer(), digest_size=4).digest(), "big")
    own = slice(rank(), rank() + 1)
    if (from_parts(torch.tensor([number]), own, processes()) != number).any():
        raise UserError(f"{what} is no longer the same in all {processes()} processes: train it in one")


class Replicas:
    """Stands in for models while they are trained on several processes, and averages their gradients.

    BatchNorm sees the whole batch on CUDA (SyncBatchNorm). That does not exist for CPUs: there each process
    normalises its part, and :meth:`merge_statistics` averages what was gathered for evaluation.

    Args:
        models: by name; changed while :meth:`training` lasts, and the same objects again afterwards.
    """

    def __init__(self, models: MutableMapping[str, nn.Module]) -> None:
        self.models = models
        self.share = 1.0  #: this process's samples in the step, over those of an even part
        self._replicas: dict[str, nn.Module] = {}
        if processes() > 1:
            trained = {n: m for n, m in models.items() if any(p.requires_grad for p in m.parameters())}
            self._replicas = {name: self._replica(model) for name, model in trained.items()}

    @contextmanager
    def training(self) -> Iterator[None]:
        """Inside the block the container's models are replicas."""
        originals = {name: self.models[name] for name in self._replicas}
        for name, replica in self._replicas.items():
            self.models[name] = replica
        try:
            yield
        finally:
            for name, model in originals.items():
                self.models[name] = model

    def merge_statistics(self, *averages: nn.Module) -> None:
        """Averages running statistics over processes, where BatchNorm has gathered them in each.

        Args:
            *averages: modules beside the replicas that follow their statistics, such as averages of their weights.
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
            # Renamed in newer torch. Sent in each forward pass, buffers would change under MCD's backward passes.
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            replica = _Replica(model, broadcast_buffers=False)
        replica.register_comm_hook(None, self._average)
        return replica

    def _average(self, state, bucket):  # type: ignore[no-untyped-def]  # torch checks annotations, and not as strings
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        if self.share != 1.0:
            bucket.buffer().mul_(self.share)
        return allreduce_hook(None, bucket)  # type: ignore[arg-type]  # None: of all processes


def original(model: nn.Module) -> nn.Module:
    """The model that a replica stands for; the model itself, if it is none."""
    return cast(nn.Module, model.module) if isinstance(model, _Replica) else model


class _Replica(nn.parallel.DistributedDataParallel):
    """A replica that has its model's attributes, such as ``num_features``."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)
