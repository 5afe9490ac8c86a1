"""Time and memory against the number of faces, of classes and of methods: exponents of fitted power laws."""

from __future__ import annotations

import json
import statistics
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import torch
from made import store_manifest
from torch.nn.functional import cross_entropy

from pa_difc import DIFCLoss, Schedule
from pa_difc.data import PairLoader
from pa_difc.data.store import ARRAYS, FILES, open_store
from pa_difc.training.engine import fit
from pa_difc.util.files import file_digest

from . import sides
from .cost import peak_bytes
from .measure import Figure, exponent, interleaved

FACES = (1_000, 10_000, 100_000, 1_000_000)
CLASSES = (7, 30, 100, 300, 1_000)
CELLS = (1, 2, 4, 8)
SIDE = 32  #: pixels; a store of a million such faces would have 3 GB, were its zeros written


def growth(device: str) -> list[Figure]:
    """Everything; what is counted in bytes is exact."""
    return [*_faces(device), *_classes(device), *_methods(device)]


def _faces(device: str) -> list[Figure]:
    """A store of N target faces: opening it, beginning an epoch, a batch, a training step."""
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    source = sides.random_faces(512, 1, SIDE)
    with tempfile.TemporaryDirectory() as folder:
        for n in FACES:
            path = store_of_zeros(Path(folder) / str(n), n)
            target = open_store(path).splits["train"]
            adapter, epochs = sides.ours("dann", sides.confusing(), device=device), iter(range(1000))
            loader = PairLoader(source, target, device=device)
            running = {"batches": loader.epoch(0)}

            def first(loader=loader, running=running, epochs=epochs):
                running["batches"] = loader.epoch(next(epochs))
                next(running["batches"])

            parts = {
                "opening a store": lambda path=path: open_store(path),
                "an epoch's first batch": first,
                "a batch": lambda running=running: next(running["batches"]),
                "a training step": lambda running=running, adapter=adapter: adapter.training_step(
                    next(running["batches"])
                ),
            }
            for name, times in interleaved(parts, 7, device, warmup=1).items():
                seconds.setdefault(name, []).append(statistics.median(times))
            for name in ("opening a store", "an epoch's first batch"):
                memory.setdefault(name, []).append(_python_bytes(parts[name]))
    return [
        *(_fitted(f"seconds of {name} against N", FACES, times, "s") for name, times in seconds.items()),
        *(_fitted(f"bytes of {name} against N", FACES, held, "B") for name, held in memory.items()),
    ]


def _classes(device: str) -> list[Figure]:
    """DIFC's state, a read and a write of it, and a whole training step, for K classes."""
    state, times, whole = [], [], []
    for k in CLASSES:
        loss = DIFCLoss(np.arange(k) + 5, Schedule(10, confusion_epoch=0, reweight_epoch=0)).to(device)
        state.append(float(sum(b.numel() * b.element_size() for b in loss.buffers())))
        torch.manual_seed(0)
        logits, labels = torch.randn(32, k, device=device), torch.randint(k, (32,), device=device)

        def use(loss=loss, logits=logits, labels=labels):
            loss(logits, labels)
            loss.update(logits)

        both = {"difc": use, "ce": lambda logits=logits, labels=labels: cross_entropy(logits, labels)}
        seconds = interleaved(both, 200, device)
        times.append(statistics.median(seconds["difc"]))
        whole.append(statistics.median(seconds["difc"]) - statistics.median(seconds["ce"]))
    per_class = state[-1] / CLASSES[-1]
    return [
        _fitted("bytes of DIFC's state against K", CLASSES, state, "B", ("≤", 1.001), f"{per_class:g} bytes a class"),
        _fitted("seconds of DIFC's read and write against K", CLASSES, times, "s"),
        _fitted("of which over cross-entropy", CLASSES, whole, "s"),
    ]


def _methods(device: str) -> list[Figure]:
    """M cells one after the other, as a grid trains them."""
    times, memory = [], []
    loader = sides.loader(4, device=device)
    for m in CELLS:

        def cells(m=m):
            for _ in range(m):
                fit(sides.ours("dann", sides.confusing(), device=device), loader, epochs=1, progress=False)

        times.append(statistics.median(interleaved({"cells": cells}, 3, device, warmup=0)["cells"]))
        memory.append(peak_bytes(cells, device, times=1))
    return [
        _fitted("seconds of a grid against its cells", CELLS, times, "s"),
        _fitted("peak bytes of a grid against its cells", CELLS, memory, "B"),
    ]


def _fitted(name, sizes, values, unit, bound=None, note="") -> Figure:
    shown = ", ".join(f"{_short(v, unit)} at {n:,}" for n, v in zip(sizes, values, strict=True))
    return Figure(
        "growth", name, exponent(sizes, values), "exponent", bound, note=f"{shown}; {note}" if note else shown
    )


def _short(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / 2**20:.1f} MiB" if value >= 2**20 else f"{value / 1024:.1f} KiB"
    return f"{1e3 * value:.3g} ms"


def _python_bytes(run) -> float:
    """The most that a call holds at a time, of what Python and numpy allocate; what is mapped from a file is not."""
    tracemalloc.start()
    kept = run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return float(peak)


def _digest(path: Path) -> str:
    """Images are not hashed when a store is opened."""
    return "" if path.name == "images.npy" else file_digest(path)


def store_of_zeros(path: Path, n: int) -> Path:
    """A store of n black faces; its files are sparse, so that a million take no room on the disk."""
    path.mkdir(parents=True)
    for name, (dtype, shape) in ARRAYS.items():
        full = (n, *(SIDE if side == "P" else int(side) for side in shape))
        np.lib.format.open_memmap(path / f"{name}.npy", mode="w+", dtype=dtype, shape=full)
    np.save(path / "labels.npy", np.arange(n) % 7)
    (path / "names.json").write_text(json.dumps([f"train/{i:07d}.png" for i in range(n)]))
    (path / "contact_sheet.png").write_bytes(b"")
    files = {f: {"bytes": (path / f).stat().st_size, "blake2b": _digest(path / f)} for f in FILES}
    (path / "manifest.json").write_text(json.dumps(store_manifest(SIDE, {"train": [0, n]}, files)))
    return path
