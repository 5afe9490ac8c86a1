"""Spreads chunks of features over workers; each uses one thread, so that results don't depend on the worker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.domains import Domain
from ..methods.slot import LossSlot
from ..util.errors import UserError
from .build import make_adapter
from .extraction import Part
from .grid import TRIES, WATCH_S
from .memory import workers_that_fit
from .settings import Settings
from .slots import Slots
from .team import Team
from .worker import Setup, told, value_of


@dataclass(frozen=True)
class Chunk:
    """A range of a part's faces, and the file for their features."""

    part: str
    start: int
    stop: int
    file: Path


@dataclass
class Source:
    """The data that workers extract features with.

    Attributes:
        settings: the network's settings.
        source: the labelled domain, for its classes.
        states: the state dicts of the method's models.
        parts: the faces.
        make: extracts a chunk's faces and writes its file.
    """

    settings: Settings
    source: Domain
    states: Mapping[str, Mapping[str, np.ndarray]]
    parts: Mapping[str, Part]
    make: Callable[[LossSlot, Part, str, Path], Any]

    @classmethod
    def of(
        cls, adapter: LossSlot, settings: Settings, source: Domain, parts: Mapping[str, Part], make: Callable[..., Any]
    ) -> Source:
        """Makes it from a method whose network is ready."""
        states = {
            name: {key: value.cpu().numpy() for key, value in model.state_dict().items()}
            for name, model in adapter.models.items()
        }
        return cls(settings, source, states, parts, make)

    @cached_property
    def adapter(self) -> LossSlot:
        """The method, rebuilt in this process."""
        made = make_adapter(self.settings, self.source, 1)
        for name, model in made.models.items():
            model.load_state_dict({key: torch.tensor(value) for key, value in self.states[name].items()})
        return made


def some_of(part: Part, chunk: Chunk) -> Part:
    """The faces of a chunk."""
    return replace(part, faces=part.faces.take(np.arange(chunk.start, chunk.stop)))


def make_chunk(setup: Setup, task: tuple[Chunk, str | None], title: str, progress: Path) -> Path:
    """Makes a chunk in a worker; see :func:`.worker.train`."""
    chunk, device = task

    def work() -> None:
        source: Source = value_of(setup)
        if device is not None and source.settings.run.device != device:
            source.settings = source.settings.but(device=device)
            source.__dict__.pop("adapter", None)
        part = some_of(source.parts[chunk.part], chunk)
        source.make(source.adapter, part, source.settings.run.device, chunk.file)

    return told(setup, work, None, progress)


def make_chunks(
    source: Source, target: Domain, chunks: Sequence[Chunk], team: Team, out: Path, done: Callable[[int], None]
) -> None:
    """Lets workers make chunks.

    Args:
        source: the data for the workers.
        target: the target, to estimate a worker's memory.
        chunks: the missing chunks.
        team: the workers.
        out: for a cluster, a folder that all workers see.
        done: called with the number of faces of each finished chunk.

    Raises:
        UserError: a chunk's workers were killed again and again.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    if not chunks:
        return
    most = len(chunks)
    if team.cluster is None:
        most = workers_that_fit(min(team.jobs or 1, most), source.settings, source.source, target)
    with team.slots(make_chunk, source, out, (), most) as slots:
        _spread(chunks, slots, done)


def _spread(chunks: Sequence[Chunk], slots: Slots, done: Callable[[int], None]) -> None:
    left, tries = list(range(len(chunks))), Counter[int]()
    while left or any(slot.number is not None for slot in slots):
        slots.look()
        for slot in slots:
            if slot.number is None and left:
                first = left.pop(0)
                slot.begin(first, (chunks[first], slot.device), "features")
        running = {slot.future: slot for slot in slots if slot.number is not None}
        if not running:  # there is no worker yet
            time.sleep(WATCH_S)
        for future in wait(running, timeout=WATCH_S, return_when=FIRST_COMPLETED).done:
            slot = running[future]
            ended, (_, error) = slot.number, slot.end()
            assert ended is not None
            if error is None:
                done(chunks[ended].stop - chunks[ended].start)
                continue
            if not isinstance(error, BrokenExecutor):
                raise error
            tries[ended] += 1
            if tries[ended] == TRIES:
                raise UserError(f"features: {TRIES} workers were killed at the same faces: use fewer --jobs")
            left.insert(0, ended)
