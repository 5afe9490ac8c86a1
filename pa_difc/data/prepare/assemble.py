"""Assembles chunks into a store's files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import numpy as np

from ...util.errors import UserError
from ...util.files import file_digest, read_arrays, write_json
from ...util.installed import installed_version
from ..labels import UNLABELLED
from ..readers.listing import Sample, counts_by_split
from ..store import ARRAYS, FILES, FORMAT
from .plan import Plan
from .settings import PrepareSettings
from .sheet import draw_sheet

#: Packages that a store's content may depend on.
_PACKAGES = ("pa-difc", "facenet-pytorch", "torch", "torchvision", "pillow", "numpy")


@dataclass(frozen=True)
class Notes:
    """The outcome of a chunk's samples, by position within the chunk."""

    kept: list[int]
    missing: list[int]  #: without a detected face
    bad: list[tuple[int, str]]  #: unreadable, with the reason
    misplaced: list[tuple[int, str]]  #: the dataset's box or points don't fit the image; with the reason

    def require(self, settings: PrepareSettings, samples: Sequence[Sample]) -> None:
        """Stops if the settings treat one of these outcomes as an error.

        Raises:
            UserError: an image can't be read or cropped, or has no face, and the settings say "error".
        """
        if (bad := sorted(self.bad + self.misplaced)) and settings.on_bad_image == "error":
            index, why = bad[0]
            raise UserError(f"{samples[index].name}: {why} (--on-bad-image skip leaves such images out)")
        if self.missing and settings.on_missing == "error":
            name = samples[self.missing[0]].name
            raise UserError(f"{name}: no face found (--on-missing drop or whole continues)")


def read_notes(path: Path) -> Notes:
    """Reads the outcome of a chunk's samples from its file."""
    chunk = read_arrays(path, ("notes", "index"))
    notes = json.loads(chunk["notes"].tobytes())
    bad, misplaced = ([(i, why) for i, why in notes.get(name, ())] for name in ("bad", "misplaced"))
    return Notes(chunk["index"].tolist(), notes["missing"], bad, misplaced)


def assemble(plan: Plan, out: Path, part: Path, chunks: Sequence[Path]) -> dict[str, Any]:
    """Writes a store's files except the manifest, which it returns.

    Raises:
        UserError: no face was kept, or a file can't be written.
    """
    notes = [read_notes(path) for path in chunks]
    for note, samples in zip(notes, plan.chunks, strict=True):
        note.require(plan.settings, samples)
    starts = list(accumulate((len(samples) for samples in plan.chunks), initial=0))
    placed = list(zip(starts, notes, strict=False))  # one start more than chunks
    kept = [start + i for start, note in placed for i in note.kept]  # positions in the list
    missing = [start + i for start, note in placed for i in note.missing]
    bad = [(start + i, why) for start, note in placed for i, why in note.bad]
    misplaced = [(start + i, why) for start, note in placed for i, why in note.misplaced]
    if not kept:
        reasons = ((missing, "without a face"), (bad, "can't be read"), (misplaced, "with boxes that don't fit"))
        why = ", ".join(f"{len(those)} {reason}" for those, reason in reasons if those)
        raise UserError(f"dataset {plan.dataset}: no face in {len(plan.samples)} images ({why})")
    samples = [plan.samples[i] for i in kept]
    try:
        words = sorted({s.label for s in samples if s.label is not None})
        position = {word: i for i, word in enumerate(words)}
        labels = [UNLABELLED if s.label is None else position[s.label] for s in samples]
        _write_arrays(part, chunks, labels, plan.settings.crop_px)
        write_json(part / "names.json", [s.name for s in samples])
        draw_sheet(part, plan.samples, kept, missing)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from None
    files = {f: {"bytes": (part / f).stat().st_size, "blake2b": file_digest(part / f)} for f in FILES}
    for name in FILES:
        (part / name).replace(out / name)
    return {
        "format": FORMAT,
        "dataset": plan.dataset,
        "identity": plan.identity,
        "parameters": plan.settings.to_dict(),
        "faces": len(samples),
        "splits": _ranges(samples),
        "words": words,
        "counts": counts_by_split(samples),
        "listed": len(plan.samples),
        "left_out": plan.left_out,
        "notes": list(plan.notes),
        "duplicates": plan.duplicates and plan.duplicates.to_dict(),
        **({"copies": plan.copies.to_dict()} if plan.copies else {}),
        **({"near_duplicates": plan.near_duplicates} if plan.near_duplicates else {}),
        "without_face": [plan.samples[i].name for i in missing],
        "unreadable": [{"name": plan.samples[i].name, "reason": why} for i, why in bad],
        "misplaced": [{"name": plan.samples[i].name, "reason": why} for i, why in misplaced],
        "files": files,
        "versions": {name: installed_version(name) or "not installed" for name in _PACKAGES},
    }


def _write_arrays(part: Path, chunks: Sequence[Path], labels: list[int], size_px: int) -> None:
    n = len(labels)
    np.save(part / "labels.npy", np.array(labels, dtype=ARRAYS["labels"][0]))
    for name in ("images", "landmarks", "boxes", "confidence"):
        dtype, shape = ARRAYS[name]
        full = (n, *(size_px if side == "P" else int(side) for side in shape))
        with (part / f"{name}.npy").open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": full}
            np.lib.format.write_array_header_1_0(file, header)
            for path in chunks:
                file.write(np.ascontiguousarray(read_arrays(path, (name,))[name]).data)


def _ranges(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """The range of each split's positions: its first one, and the one after its last."""
    ranges: dict[str, list[int]] = {}
    start = 0
    for split, members in groupby(samples, key=lambda s: s.split):
        stop = start + len(list(members))
        ranges[split] = [start, stop]
        start = stop
    return ranges
