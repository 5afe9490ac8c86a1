"""Training one run in several processes; the only module that uses process groups, through pytorch-ignite's idist.

Each process has replicas of the models (:mod:`.replicas`) and takes its part of every batch. In a single process each
function returns its input unchanged, and idist is not imported.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

from .errors import UserError
from .stops import end_within

P = ParamSpec("P")
T = TypeVar("T")

#: How long a process waits for the others, since the first one scores and writes alone.
_PATIENCE = timedelta(hours=1)

#: Seconds after a signal until a process that waits for another one ends; torchrun kills it after 30.
_STOP_S = 20.0


def launched() -> bool:
    """Whether a launcher such as torchrun has started this process as one of several."""
    return {"RANK", "MASTER_ADDR"} <= os.environ.keys() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def require_one_process(command: str) -> None:
    """Refuses a launcher for a command that its processes would all run in full.

    Raises:
        UserError: a launcher started this process.
    """
    if launched():
        raise UserError(f"{command} runs in one process; several on one run are for `pa-difc train` and the recipes")


def join(device: str) -> None:
    """Joins the process group if a launcher started several processes; only the first one prints from then on.

    Args:
        device: "cpu" (gloo) or "cuda" (NCCL), where each process gets the device of its local rank.

    Raises:
        UserError: the device is named by number, or there are fewer GPUs than processes.
    """
    if not launched() or processes() > 1:
        return
    import ignite.distributed as idist

    if device not in ("cpu", "cuda"):
        raise UserError(f"device {device!r} with several processes: must be cpu or cuda, and each takes its own")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # idist sends tensors through a GPU if it sees one
    elif (local := int(os.environ.get("LOCAL_RANK", "0"))) >= torch.cuda.device_count():
        raise UserError(f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}")
    idist.initialize("nccl" if device == "cuda" else "gloo", timeout=_PATIENCE)
    atexit.register(idist.finalize)
    end_within(_STOP_S)
    if rank() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def needs_all(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function in which processes wait for each other: reports a lost or silent process in one line.

    Raises:
        UserError: from the function, if a process is gone.
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
    """The number of processes of this run, in any framework's process group."""
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if there else 1


def rank() -> int:
    """This process's number, 0 for the first."""
    return torch.distributed.get_rank() if processes() > 1 else 0


def total(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, bitwise the same in each."""
    if processes() == 1:
        return values
    import ignite.distributed as idist

    return cast(Tensor, idist.all_reduce(values.detach().clone()))  # all_reduce works in place


def whole_mean(mean: Tensor, number: int) -> Tensor:
    """The mean over all processes' samples, from the means over each process's own.

    Args:
        mean: over this process's samples, a scalar; must be finite even without samples.
        number: of this process's samples.
    """
    if processes() == 1:
        return mean
    weighted, samples = total(torch.stack([mean.double() * number, torch.full_like(mean, number).double()]))
    whole: Tensor = (weighted / samples).to(mean)
    return whole


def part_of_weighted(mean: Tensor, weights: Tensor, size: int) -> Tensor:
    """Scales a process's weighted mean, so that gradient averaging gives the weighted mean over all processes.

    It is Σ wℓ / Σ w of the part times (Σ w / n of the part) / (Σ w / n of the whole). Averaged over processes by their
    numbers of samples, as gradients are, this gives Σ wℓ / Σ w of the whole.

    Args:
        mean: Σ wℓ / Σ w of the part, a scalar; 0 if all weights are 0.
        weights: w of this process's samples, or only the non-zero ones.
        size: n, the number of this process's samples.
    """
    if processes() == 1:
        return mean
    weight = weights.double().sum() / max(size, 1)
    whole = whole_mean(weight, size).clamp_min(torch.finfo(torch.float64).tiny)  # it is 0 if all weights are 0
    part: Tensor = mean * (weight / whole).to(mean)
    return part


def from_parts(values: Tensor, part: slice, size: int) -> Tensor:
    """Gathers the rows of all ``size`` samples, of which each process has its part."""
    if processes() == 1:
        return values
    whole = values.new_zeros(size, *values.shape[1:])
    whole[part] = values
    return total(whole)


def from_first(make: Callable[[], T]) -> T:
    """Makes a value in the first process and sends it to the others, which wait; it must be JSON-serialisable."""
    if processes() == 1:
        return make()
    import ignite.distributed as idist

    said = json.dumps(make()) if rank() == 0 else None
    value: T = json.loads(str(idist.broadcast(said, safe_mode=True)))
    return value


def on_first(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function so that only the first process runs it; see :func:`from_first`."""

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
    """Stops a run whose processes have drifted apart.

    Args:
        what: name of the state, for the error.
        state: tensors and plain values.

    Raises:
        UserError: the state differs between processes.
    """
    if processes() == 1:
        return
    buffer = io.BytesIO()
    torch.save(state, buffer)
    number = int.from_bytes(hashlib.blake2b(buffer.getbuffer(), digest_size=4).digest(), "big")
    own = slice(rank(), rank() + 1)
    if (from_parts(torch.tensor([number]), own, processes()) != number).any():
        raise UserError(f"{what} is no longer the same in all {processes()} processes: train it in one")
