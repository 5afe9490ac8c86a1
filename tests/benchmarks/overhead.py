"""What the engine adds to the passes it makes, and how long an epoch waits for its batches."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch.nn import functional as F

from pa_difc.training.checkpoint import save_checkpoint
from pa_difc.training.engine import fit

from . import sides
from .measure import Figure, interleaved, now, ratio

ROUNDS = {"source_only": 12, "dann": 9, "mcd": 5}
STEPS = {"source_only": 60, "dann": 60, "mcd": 20}  #: in an epoch; a run's first checks, 4 ms, are part of it


def engine(device: str) -> list[Figure]:
    """An epoch of `fit`, with its loader and hooks, over the same passes in a plain loop over ready batches."""
    figures = []
    for method, rounds in ROUNDS.items():
        adapter, loader = sides.ours(method, device=device), TimedLoader(sides.loader(STEPS[method], device=device))
        plain = PLAIN[method](sides.models(method, device=device))
        ready = list(sides.loader(STEPS[method], device=device).epoch(0))
        hooks = sides.ours(method, device=device)
        epochs = {
            "fit": lambda adapter=adapter, loader=loader: fit(adapter, loader, epochs=1, progress=False),
            "hooks": lambda hooks=hooks, ready=ready: [hooks.training_step(batch) for batch in ready],
            "plain": lambda plain=plain, ready=ready: [plain(batch) for batch in ready],
        }
        seconds = interleaved(epochs, rounds, device, warmup=1)
        for name, a, b, bound in (
            ("an epoch of fit over its bare passes", "fit", "plain", ("≤", 1.05)),
            ("of which pytorch-adapt's hooks over the bare passes", "hooks", "plain", None),
            ("of which fit and its loader over pytorch-adapt's hooks", "fit", "hooks", None),
        ):
            figures.append(ratio("engine", f"{method}: {name}", seconds[a], seconds[b], bound))
        faces = "32 + 32" if adapter.reads_target else "32"
        figures.append(loader.waiting(method, seconds["fit"], faces))
    return [*figures, checkpoint(device)]


class TimedLoader:
    """A loader that counts the time until each of its batches is there."""

    def __init__(self, loader) -> None:
        self.loader, self.device = loader, loader.device
        self.begin()

    def begin(self) -> None:
        self.waited: list[float] = []

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, *arguments, **options):
        waited, batches = 0.0, self.loader.epoch(*arguments, **options)
        while True:
            start = now(self.device)
            batch = next(batches, None)
            waited += now(self.device) - start
            if batch is None:
                break
            yield batch
        self.waited.append(waited)

    def waiting(self, method: str, seconds: list[float], faces: str) -> Figure:
        """The share of an epoch that is spent waiting for so many faces a step, over the timed epochs."""
        waited = self.waited[-len(seconds) :]
        share = ratio("engine", f"{method}: share of an epoch spent waiting for batches", waited, seconds)
        low, high = share.quartiles
        note = f"{1e3 * sum(waited) / len(waited) / STEPS[method]:.2f} ms a step for {faces} faces of 48 px"
        return Figure(
            "engine", share.name, 100 * share.value, "%", ("≤", 2), (100 * low, 100 * high), share.rounds, note
        )


def checkpoint(device: str) -> Figure:
    """Writing an epoch's checkpoint, over one training step."""
    adapter = sides.ours("mcd", sides.confusing(), device=device)
    run = sides.step(adapter, sides.batches(device=device))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        save = {"save": lambda: save_checkpoint(path, adapter, key="", epoch=1, history=[]), "step": run}
        seconds = interleaved(save, 20, device)
    return ratio("engine", "mcd: an epoch's checkpoint over one step", seconds["save"], seconds["step"])


def plain_source_only(models):
    def step(batch):
        loss = F.cross_entropy(models["C"](models["G"](batch["src_imgs"])), batch["src_labels"])
        _move(loss, both)

    both = _sgd(*models.values())
    return step


def plain_dann(models):
    from pytorch_adapt.layers import GradientReversal

    reverse, optimizers = GradientReversal(), _sgd(*models.values())

    def step(batch):
        source, target = models["G"](batch["src_imgs"]), models["G"](batch["target_imgs"])
        domains = [models["D"](reverse(features)) for features in (source, target)]
        loss = F.cross_entropy(models["C"](source), batch["src_labels"])
        for logits, key in zip(domains, ("src_domain", "target_domain"), strict=True):
            loss = loss + F.binary_cross_entropy_with_logits(logits, batch[key].float())
        _move(loss, optimizers)

    return step


def plain_mcd(models):
    g, c = _sgd(models["G"]), _sgd(models["C"])

    def discrepancy(features):
        first, second = (logits.softmax(1) for logits in models["C"](features))
        return (first - second).abs().mean()

    def classification(features, labels):
        return sum(F.cross_entropy(logits, labels) for logits in models["C"](features))

    def step(batch):
        _move(classification(models["G"](batch["src_imgs"]), batch["src_labels"]), [*g, *c])
        with torch.no_grad():
            source, target = models["G"](batch["src_imgs"]), models["G"](batch["target_imgs"])
        _move(classification(source, batch["src_labels"]) - discrepancy(target), c)
        for _ in range(4):
            _move(discrepancy(models["G"](batch["target_imgs"])), g)

    return step


PLAIN = {"source_only": plain_source_only, "dann": plain_dann, "mcd": plain_mcd}


def _sgd(*models):
    """An optimiser each, as the host has it."""
    return [torch.optim.SGD(m.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4) for m in models]


def _move(loss, optimizers):
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
