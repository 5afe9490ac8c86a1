"""Features of many faces, chunk by chunk: the pass says how far it is, and one that was killed goes on where it was."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..methods.slot import LossSlot
from ..util.bars import tqdm
from ..util.errors import Stopped, UserError
from ..util.files import read_arrays, write_atomic
from .extraction import Arrays, Part, extracted
from .identity import hash_of

#: Faces of a chunk: half a minute of a core, for a large network.
FACES = 512

#: Seconds between two lines that say how far the pass is, where there is no terminal.
LINE_S = 60.0


def extracted_in_chunks(
    adapter: LossSlot, parts: Mapping[str, Part], device: torch.device | str, folder: Path
) -> Arrays:
    """The arrays of all parts, by the names of both together; see :func:`.extracted`.

    Args:
        adapter, device: see there.
        parts: the sets of faces.
        folder: of this network; chunks are kept there until somebody removes it.

    Raises:
        UserError: a chunk can't be written.
        Stopped: Ctrl-C; what is kept stays.
    """
    told = _Told(sum(len(part.faces) for part in parts.values()))
    found: dict[str, list[np.ndarray]] = {}
    try:
        for name, part in parts.items():
            for start in range(0, len(part.faces), FACES):
                some = replace(part, faces=part.faces.take(np.arange(start, min(start + FACES, len(part.faces)))))
                arrays = _chunk(adapter, some, device, folder / f"{name}-{_about(part)}-{start}.npz")
                for which, array in arrays.items():
                    found.setdefault(f"{name}{which}", []).append(array)
                told.add(len(some.faces))
    except KeyboardInterrupt:
        raise Stopped(f"stopped after the features of {told.done:,} of {told.total:,} faces") from None
    finally:
        told.bar.close()
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def kept_size(folder: Path) -> int:
    """The bytes of the chunks in a folder."""
    return sum(file.stat().st_size for file in folder.glob("*.npz"))


def _chunk(adapter: LossSlot, part: Part, device: torch.device | str, file: Path) -> Arrays:
    """The arrays of some faces, from their file if it is whole."""
    if file.exists():
        try:
            arrays = read_arrays(file, part.names)
        except UserError:  # it is made anew
            arrays = {}
        if arrays and all(a.dtype == np.float32 and len(a) == len(part.faces) for a in arrays.values()):
            return arrays
    made = extracted(adapter, part, device)
    buffer = io.BytesIO()
    np.savez(buffer, **made)  # type: ignore[arg-type]
    write_atomic(file, lambda to: to.write(buffer.getbuffer()))
    return made


def _about(part: Part) -> str:
    """What chunks of the same network may differ in: views, and the classifier whose word is kept."""
    said = part.classifier and [part.classifier.weight.tolist(), part.classifier.bias.tolist()]
    return hash_of([part.views, said])


class _Told:
    """How far a pass is: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, total: int) -> None:
        self.done, self.total, self.last = 0, total, time.monotonic()
        self.bar = tqdm(total=total, desc="features", unit="face", disable=None, leave=False, dynamic_ncols=True)

    def add(self, faces: int) -> None:
        self.done += faces
        self.bar.update(faces)
        if self.bar.disable and time.monotonic() - self.last >= LINE_S and self.done < self.total:
            self.last = time.monotonic()
            print(f"features of {self.done:,} of {self.total:,} faces", flush=True)
