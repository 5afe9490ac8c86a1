"""Shares data among processes: arrays lie in files that each process maps, so that all share one copy in memory."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path
from typing import Any

import numpy as np

#: Arrays with fewer bytes are pickled with the value.
_SMALL = 1 << 16


def share(value: Any, folder: Path) -> Path:
    """Writes a value for :func:`shared`; arrays that are mapped already, such as a store's images, are not copied.

    Args:
        value: domains, or anything else that can be pickled.
        folder: a new folder for this value; must exist as long as a process uses the value.

    Returns:
        The file for :func:`shared`.

    Raises:
        OSError: the folder can't be written.
    """
    folder.mkdir(parents=True)
    path = folder / "value.pickle"
    with path.open("wb") as file:
        _Writer(file, folder).dump(value)
    return path


def shared(path: Path) -> Any:
    """The value that :func:`share` wrote; its large arrays are read-only."""
    with path.open("rb") as file:
        return _Reader(file).load()


def files_of(path: Path) -> set[Path]:
    """The files that :func:`shared` maps."""
    with path.open("rb") as file:
        reader = _Reader(file)
        reader.load()
    return reader.files


class _Writer(pickle.Pickler):
    def __init__(self, file: Any, folder: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.folder = folder
        self.places: dict[int, tuple[Any, ...]] = {}
        self.kept: list[np.ndarray] = []  # keeps arrays alive, so that no id() is reused

    def persistent_id(self, obj: Any) -> Any:
        """The place of a large array in a file; None for anything else."""
        if not isinstance(obj, np.ndarray) or obj.nbytes < _SMALL or obj.dtype.hasobject:
            return None
        if id(obj) not in self.places:
            self.kept.append(obj)
            self.places[id(obj)] = _mapped_place(obj) or self._written(obj)
        return self.places[id(obj)]

    def _written(self, array: np.ndarray) -> tuple[Any, ...]:
        path = self.folder / f"{len(self.places)}.raw"
        np.ascontiguousarray(array).tofile(path)
        return str(path), array.dtype.str, array.shape, 0


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.files: set[Path] = set()

    def persistent_load(self, pid: Any) -> np.ndarray:
        path, dtype, shape, offset = pid
        self.files.add(Path(path))
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def _mapped_place(array: np.ndarray) -> tuple[Any, ...] | None:
    """File, dtype, shape and offset of a mapped array; None for one in memory, or with gaps between rows."""
    mapped = getattr(array, "_mmap", None)  # views of a numpy memmap keep it
    if mapped is None or not array.flags.c_contiguous:
        return None
    assert isinstance(array, np.memmap) and array.filename is not None
    base = np.frombuffer(mapped, dtype=np.uint8)
    start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # of the map in the file
    offset = start + array.ctypes.data - base.ctypes.data
    return str(Path(array.filename).resolve()), array.dtype.str, array.shape, offset
