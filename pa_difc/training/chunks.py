"""Features of many faces, chunk by chunk: the pass says how far it is, and one that was killed resumes where it was."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..methods.slot import LossSlot
from ..util.bars import tqdm
from ..util.errors import Stopped, UserError
from ..util.files import read_arrays, write_atomic
from .extraction import Arrays, Part, extracted
from .identity import hash_of
from .spread import Chunk, some_of

#: Faces of a chunk: half a minute of a core, for a large network.
FACES = 512

#: Seconds between two lines that say how far the pass is, where there is no terminal.
LINE_S = 60.0


def extracted_in_chunks(
    adapter: LossSlot,
    parts: Mapping[str, Part],
    device: torch.device | str,
    folder: Path,
    spread: Callable[[Sequence[Chunk], Callable[[int], None]], None] | None = None,
) -> Arrays:
    """The arrays of all parts, by the names of both together; see :func:`.extracted`.

    Args:
        adapter, device: see there.
        parts: the sets of faces.
        folder: of this network; chunks are kept there until somebody removes it.
        spread: has others make those chunks that there are not yet; it is given these, and what to tell of faces that
            are done. None: they are made here.

    Raises:
        UserError: a chunk can't be written.
        Stopped: Ctrl-C; what is kept stays.
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
    """The bytes of the chunks in a folder."""
    return sum(file.stat().st_size for file in folder.glob("*.npz"))


def _chunks(name: str, part: Part, folder: Path) -> Iterator[Chunk]:
    """A part, piece by piece."""
    about, size = _about(part), len(part.faces)
    for start in range(0, size, FACES):
        yield Chunk(name, start, min(start + FACES, size), folder.resolve() / f"{name}-{about}-{start}.npz")


def made_chunk(adapter: LossSlot, part: Part, device: torch.device | str, file: Path) -> Arrays:
    """The arrays of some faces, from their file if it is whole."""
    if (kept := _kept(part, file)) is not None:
        return kept
    made = extracted(adapter, part, device)
    buffer = io.BytesIO()
    np.savez(buffer, **made)  # type: ignore[arg-type]
    write_atomic(file, lambda to: to.write(buffer.getbuffer()))
    return made


def _kept(part: Part, file: Path) -> Arrays | None:
    """The arrays in the file of some faces; None if it is not there or damaged, and they are made again."""
    if not file.exists():
        return None
    try:
        arrays = read_arrays(file, part.names)
    except UserError:
        return None
    whole = all(a.dtype == np.float32 and len(a) == len(part.faces) for a in arrays.values())
    return arrays if whole else None


def _about(part: Part) -> str:
    """What chunks of the same network may differ in: views, and the classifier whose word is kept."""
    said = part.classifier and [part.classifier.weight.tolist(), part.classifier.bias.tolist()]
    return hash_of([part.views, said])


class _Told:
    """How far a pass is: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.kept = 0, total, 0
        self.began = self.last = time.monotonic()
        self.bar = tqdm(total=total, desc="features", unit="face", disable=None, leave=False, dynamic_ncols=True)

    def keep(self, faces: int) -> None:
        """So many were there already, and say nothing of the pace."""
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
        return f"  about {seconds / 60:.0f} min left" if seconds >= 60 else ""
