"""Training a method: epochs, progress, checkpoints, exact resume."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.loaders import EvalLoader, PairLoader
from ..evaluation.inference import predict
from ..losses.protocols import DescribedLoss, EvaluatedLoss
from ..methods.checked import checked
from ..methods.slot import LossSlot
from ..methods.unchecked import unchecked
from ..util import clock
from ..util.bars import tqdm
from ..util.distributed import from_parts, means, processes, rank, require_same, total
from ..util.errors import DivergedError, LateError, Stopped, UserError
from ..util.files import write_text
from ..util.replicas import Replicas
from .checkpoint import load_checkpoint, save_checkpoint, seed_everything, shapes_of
from .repeatable import Repeated, require_optimised
from .resumable import Unsaved, require_resumable


def fit(
    adapter: LossSlot,
    loader: PairLoader,
    *,
    epochs: int,
    folder: Path | None = None,
    key: str = "",
    title: str = "",
    progress: bool | Callable[..., tqdm] = True,
    after_epoch: Callable[[list[dict[str, Any]]], None] | None = None,
    until: float = inf,
) -> list[dict[str, Any]]:
    """Trains a method to its last epoch, resuming from the folder's checkpoint if there is one.

    Resuming is exact: a run that was stopped or killed ends with the same numbers as an uninterrupted one. On several
    processes each takes its part of every batch, and the first one writes files.

    Args:
        adapter: a method; its models are moved to the loader's device.
        loader: the training batches.
        epochs: the total number of epochs; 0 writes a checkpoint, too.
        folder: where to write ``checkpoint.pt`` and ``log.jsonl`` after each epoch; None for nowhere.
        key: the run's key, stored in the checkpoint.
        title: title of the progress bar and in errors, such as "mcd · difc".
        progress: whether to show a bar if the output is a terminal; or a function that makes another bar.
        after_epoch: called with the history so far, after the checkpoint; its exceptions end training.
        until: the :func:`.clock.now` at which no further step begins, on one process.

    Returns:
        A dict per epoch: "epoch" (from 1), "seconds", "lr", "losses" (means by name) and, for a loss that describes
        itself, "state".

    Raises:
        DivergedError: a loss is not finite; the last epoch's checkpoint stays.
        UserError: the method or its loss has state that no checkpoint includes, random numbers without a seed or
            weights that nothing updates; it can't be trained on several processes, or these don't share a disk.
        LateError: it is ``until``; resuming begins at the start of the current epoch.
        Stopped: Ctrl-C.
    """
    require_resumable(adapter)
    _to_device(adapter, loader.device)
    done, history = 0, list[dict[str, Any]]()
    checkpoint = folder / "checkpoint.pt" if folder else None
    if checkpoint and _is_there(checkpoint):
        done, history = load_checkpoint(checkpoint, adapter, key=key)
        if rank() == 0:
            _write_log(checkpoint, history)  # a kill between the two writes leaves the log behind
    steps = len(loader)
    if adapter.epochs is not None:
        adapter.epochs.tell(steps)
    replicas, unsaved = _replicas(adapter), Unsaved(adapter)
    quiet = None if progress and rank() == 0 else True
    make_bar = progress if callable(progress) else partial(tqdm, disable=quiet, leave=False, dynamic_ncols=True)
    bar = make_bar(total=epochs * steps, initial=done * steps, unit="step")
    with bar:
        try:
            if epochs == 0 and checkpoint and rank() == 0:  # for methods without training
                save_checkpoint(checkpoint, adapter, key=key, epoch=0, history=history)
            for epoch in range(done, epochs):
                bar.set_description(f"{title} epoch {epoch + 1}/{epochs}")
                new = unsaved if epoch == done else None
                history.append(_epoch(adapter, loader, epoch, bar, title, replicas, new, until))
                if adapter.epochs is not None:
                    adapter.epochs.loss.end_epoch()
                adapter.end_epoch()
                unsaved.require_unchanged()
                if checkpoint and rank() == 0:
                    save_checkpoint(checkpoint, adapter, key=key, epoch=epoch + 1, history=history)
                    _write_log(checkpoint, history)
                if after_epoch:
                    after_epoch(history)
                    unsaved.renew()
        except (KeyboardInterrupt, LateError) as stop:
            kept = f"checkpoint {len(history)} written" if checkpoint and history else "no checkpoint yet"
            kind = LateError if isinstance(stop, LateError) else Stopped
            raise kind(f"stopped after epoch {len(history)} of {epochs} ({kept})") from None
    return history


def _in_time(batches: Iterable[dict[str, Any]], until: float) -> Iterator[dict[str, Any]]:
    """Yields batches until a :func:`.clock.now`."""
    for batch in batches:
        if clock.now() >= until:
            raise LateError
        yield batch


def _write_log(checkpoint: Path, history: list[dict[str, Any]]) -> None:
    write_text(checkpoint.with_name("log.jsonl"), "".join(json.dumps(h) + "\n" for h in history))


def _is_there(checkpoint: Path) -> bool:
    finders = int(total(torch.tensor(int(checkpoint.exists()))))
    if finders not in (0, processes()):
        raise UserError(f"{finders} of {processes()} processes find {checkpoint}: all must share the disk of --out")
    return finders > 0


def _replicas(adapter: LossSlot) -> Replicas:
    if processes() > 1 and adapter.one_process:
        raise UserError(f"{type(adapter).__name__}'s state is made from whole batches: train it in one process")
    return Replicas(adapter.models)


def _epoch(
    adapter: LossSlot,
    loader: PairLoader,
    epoch: int,
    bar: tqdm,
    title: str,
    replicas: Replicas,
    unsaved: Unsaved | None,
    until: float,
) -> dict[str, Any]:
    started = time.perf_counter()
    learning_rate = next(iter(adapter.optimizers.values())).param_groups[0]["lr"]
    with _told(title, 0, epoch, learning_rate):
        predicted = _predict_target(adapter, loader, epoch)
    _own_noise(loader.seed, epoch)
    adapter.models.train()
    described = isinstance(adapter.loss, DescribedLoss)
    state: dict[str, Any] = {"state": _described(adapter.loss)} if described else {}
    sums: dict[str, float] = defaultdict(float)
    batches = loader.epoch(
        epoch,
        predicted,
        source_images=adapter.uses_source,
        target_images=adapter.reads_target,
        strong=adapter.reads_strong_views,
        draws=adapter.reads_draws,
    )
    with ExitStack() as after_first:
        for step, batch in enumerate(_in_time(batches, until)):
            replicas.share = loader.share(step)
            repeated = Repeated(adapter) if unsaved and step == 0 else None
            returned = checked(adapter) if step == 0 else nullcontext()
            with returned, replicas.training(), _told(title, step, epoch, learning_rate):
                losses = _flatten(adapter.training_step(batch))
            if repeated and unsaved:
                repeated.require_same(batch, losses, _flatten, unsaved.require_unchanged)
                require_optimised(adapter)
            if step == 0:  # phases change with epochs, so later steps have the same keys
                after_first.enter_context(unchecked(adapter.hook))
            adapter.lr_schedulers.step("per_step")
            for name, value in losses.items():
                if not isfinite(value):
                    raise _diverged(f"{name} is {value}", title, step, epoch, learning_rate)
                sums[name] += value * replicas.share
            bar.set_postfix_str(f"loss {next(iter(losses.values())):.3f}", refresh=False)
            bar.update()
    _agree(adapter, replicas, title)
    return {
        "epoch": epoch + 1,
        "seconds": round(time.perf_counter() - started, 3),
        "lr": learning_rate,
        "losses": means({name: value / len(loader) for name, value in sums.items()}),
        **state,
    }


@contextmanager
def _told(title: str, step: int, epoch: int, learning_rate: float) -> Iterator[None]:
    """Adds to a loss's own error about values that are not finite when it occurred, and what may help."""
    try:
        yield
    except DivergedError as error:
        raise _diverged(str(error), title, step, epoch, learning_rate) from None


def _diverged(what: str, title: str, step: int, epoch: int, learning_rate: float) -> DivergedError:
    stays = f"; the checkpoint of epoch {epoch} is kept" if epoch else ""
    advice = f"Lower --set lr (now {learning_rate:g})"
    if epoch == step == 0:  # nothing has been learnt yet
        advice = "It is not finite from the start, whatever the learning rate: check the loss and the data"
    return DivergedError(f"{title}: {what} at step {step + 1} of epoch {epoch + 1}{stays}. {advice}")


def _described(loss: Any) -> dict[str, Any]:
    """The description of a loss's state; refuses one that a record can't hold."""
    said: dict[str, Any] = loss.describe()
    try:
        json.dumps(said, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"{type(loss).__name__}.describe(): must be plain finite values ({error})") from None
    return said


def _own_noise(seed: int, epoch: int) -> None:
    """Seeds each of several processes by epoch and rank, so that checkpoints need no generator state per process."""
    if processes() > 1:
        seed_everything(int(np.random.SeedSequence([seed, epoch, rank()]).generate_state(1)[0]))


def _agree(adapter: LossSlot, replicas: Replicas, title: str) -> None:
    """Merges BatchNorm statistics after an epoch, and checks that all processes have the same state."""
    for name in ("models", "misc"):  # sums of tensors of unlike shapes would never end
        require_same(f"{title}: its {name}", shapes_of(getattr(adapter, name).state_dict()))
    replicas.merge_statistics(*(kept for kept in adapter.misc.values() if isinstance(kept, torch.nn.Module)))
    for name in ("models", "misc"):
        require_same(f"{title}: its {name}", getattr(adapter, name).state_dict())


def _predict_target(adapter: LossSlot, loader: PairLoader, epoch: int) -> np.ndarray | None:
    """Evaluates the target's training set for a loss or a sampler that needs it; returns predicted classes or None.

    It predicts unchanged faces: the views that are averaged in the end don't affect training.
    """
    loss = adapter.loss
    evaluated = loss if isinstance(loss, EvaluatedLoss) and loss.needs_evaluation else None
    if evaluated is None and not loader.needs_predictions(epoch):
        return None
    part = EvalLoader(loader.target, device=loader.device, rank=rank(), processes=processes())
    probs = predict(adapter, part).probs
    if evaluated is not None:
        evaluated.update_from_evaluation(probs.to(loader.device))
    if not loader.needs_predictions(epoch):
        return None
    return from_parts(probs.argmax(dim=1), part.part, len(loader.target)).numpy()


def _flatten(losses: dict[str, dict[str, float]]) -> dict[str, float]:
    """{"x_loss": {"total": 1.0, …}} → {"x_loss/total": 1.0, …}, totals first."""
    flat = {f"{step}/{name}": value for step, parts in losses.items() for name, value in parts.items()}
    return dict(sorted(flat.items(), key=lambda item: not item[0].endswith("/total")))


def _to_device(adapter: LossSlot, device: torch.device) -> None:
    adapter.models.to(device)
    for item in adapter.misc.values():  # pytorch-adapt's own frameworks don't move misc
        if isinstance(item, torch.nn.Module):
            item.to(device)
