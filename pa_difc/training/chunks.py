"""Extracts features of many faces in chunks, with progress; a pass that was killed resumes from its last chunk."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..methods.slot import LossSlot
from ..util.bars import tqdm
from ..util.durations import time_left
from ..util.errors import Stopped, UserError
from ..util.files import read_arrays, write_atomic
from .extraction import Arrays, Part, extracted
from .identity import hash_of
from .spread import Chunk, some_of

#: Faces in a chunk: with a large network, half a minute on one core.
FACES = 512

#: Seconds between two lines of progress if the output is not a terminal.
LINE_S = 60.0


def extracted_in_chunks(
    adapter: LossSlot,
    parts: Mapping[str, Part],
    device: torch.device | str,
    folder: Path,
    spread: Callable[[Sequence[Chunk], Callable[[int], None]], None] | None = None,
) -> Arrays:
    """Extracts the arrays of all parts, named by part and array; see :func:`.extracted`.

    Args:
        adapter, device: see there.
        parts: the sets of faces.
        folder: this network's folder for chunks; the caller removes it.
        spread: makes the missing chunks in other processes; called with them and a function to tell the number of
            faces done. None: this process makes them.

    Raises:
        UserError: a chunk can't be written.
        Stopped: Ctrl-C; chunks written so far are kept.
    """
    told = _Told(sum(len(part.faces) for part in parts.values()))
    found: dict[str, list[np.ndarray]] = {}
    try:
        chunks = [chunk for name, part in parts.items() for chunk in _chunks(name, part, folder)]
        if spread is not None:
            missing = [chunk for chunk in chunks if _kept(some_of(parts[chunk.part], chunk), chunk.file) is None]
            told.keep(told.total - sum(chunk.stop - chunk.start for chunk in missing))
            spread(missing, told.add)
        for chunk in chunks:
            some = some_of(parts[chunk.part], chunk)
            for which, array in made_chunk(adapter, some, device, chunk.file).items():
                found.setdefault(f"{chunk.part}{which}", []).append(array)
            if spread is None:
                told.add(len(some.faces))
    except KeyboardInterrupt:
        raise Stopped(f"stopped after the features of {told.done:,} of {told.total:,} faces") from None
    finally:
        told.bar.close()
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def kept_size(folder: Path) -> int:
    """The size of the chunks in a folder, in bytes."""
    return sum(file.stat().st_size for file in folder.glob("*.npz"))


def _chunks(name: str, part: Part, folder: Path) -> Iterator[Chunk]:
    """The chunks of a part."""
    about, size = _about(part), len(part.faces)
    for start in range(0, size, FACES):
        yield Chunk(name, start, min(start + FACES, size), folder.resolve() / f"{name}-{about}-{start}.npz")


def made_chunk(adapter: LossSlot, part: Part, device: torch.device | str, file: Path) -> Arrays:
    """The arrays of a chunk's faces, read from its file if complete, else made and written."""
    if (kept := _kept(part, file)) is not None:
        return kept
    made = extracted(adapter, part, device)
    buffer = io.BytesIO()
    np.savez(buffer, **made)  # type: ignore[arg-type]
    write_atomic(file, lambda to: to.write(buffer.getbuffer()))
    return made


def _kept(part: Part, file: Path) -> Arrays | None:
    """The arrays in a chunk's file; None if it is missing or damaged."""
    if not file.exists():
        return None
    try:
        arrays = read_arrays(file, part.names)
    except UserError:
        return None
    whole = all(a.dtype == np.float32 and len(a) == len(part.faces) for a in arrays.values())
    return arrays if whole else None


def _about(part: Part) -> str:
    """A hash of what chunks of the same network may differ in: views, and the classifier."""
    said = part.classifier and [part.classifier.weight.tolist(), part.classifier.bias.tolist()]
    return hash_of([part.views, said])


class _Told:
    """Progress of a pass: a bar on a terminal, elsewhere a line at intervals."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.kept = 0, total, 0
        self.began = self.last = time.monotonic()
        self.bar = tqdm(total=total, desc="features", unit="face", disable=None, leave=False, dynamic_ncols=True)

    def keep(self, faces: int) -> None:
        """Counts faces that were there already and don't enter the pace."""
        self.kept += faces
        self.add(faces)

    def add(self, faces: int) -> None:
        self.done += faces
        self.bar.update(faces)
        if self.bar.disable and time.monotonic() - self.last >= LINE_S and self.done < self.total:
            self.last = time.monotonic()
            print(f"features of {self.done:,} of {self.total:,} faces{self._left()}", flush=True)

    def _left(self) -> str:
        made = self.done - self.kept
        seconds = (self.last - self.began) / made * (self.total - self.done) if made else 0.0
        return f"  {time_left(seconds)}" if seconds >= 60 else ""
