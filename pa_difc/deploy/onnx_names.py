"""Compares the class names in a folder's ``model.onnx`` with its model's, without a package for ONNX."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from io import SEEK_CUR, BytesIO
from pathlib import Path
from typing import IO

_METADATA, _KEY, _VALUE = 14, 1, 2  #: fields of a ModelProto, and of each entry of its metadata
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  #: how Protocol Buffers store a field


def names_line(folder: Path, classes: tuple[str, ...]) -> str | None:
    """A line on a ``model.onnx`` that names its classes otherwise than its folder; None if there is no such file.

    Args:
        folder: of the model.
        classes: the names in its settings, in their order.
    """
    path = folder / "model.onnx"
    if not path.is_file() or (names := _classes(path)) is None or names == list(classes):
        return None
    said = f"{path} names its classes {', '.join(map(str, names))}, and config.json {', '.join(classes)}"
    return f"{said}: export the model again with --format onnx"


def _classes(path: Path) -> list[object] | None:
    """The class names in a file's metadata; None if they can't be read, or there are none."""
    with suppress(OSError, ValueError, EOFError), path.open("rb") as file:
        for entry in _fields(file, _METADATA):
            parts = [next(_fields(BytesIO(entry), part), b"").decode() for part in (_KEY, _VALUE)]
            if parts[0] == "classes":
                names = json.loads(parts[1])
                return names if isinstance(names, list) else None
    return None


def _fields(file: IO[bytes], wanted: int) -> Iterator[bytes]:
    """The contents of one field of a message, each time that it occurs; other fields are skipped unread.

    Raises:
        EOFError: the file ends within a field.
        ValueError: it is no message.
    """
    while (tag := _varint(file, may_end=True)) >= 0:
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length = _varint(file)
            if number == wanted:
                yield file.read(length)
            else:
                file.seek(length, SEEK_CUR)
        elif kind == _VARINT:
            _varint(file)
        elif kind in (_FIXED_64, _FIXED_32):
            file.seek(8 if kind == _FIXED_64 else 4, SEEK_CUR)
        else:
            raise ValueError(f"field {number} is of the unknown kind {kind}")


def _varint(file: IO[bytes], *, may_end: bool = False) -> int:
    """A number in base 128, the lowest digit first; -1 at the end of the file if it may end there."""
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            if may_end and place == 0:
                return -1
            raise EOFError
        value |= (byte[0] & 127) << 7 * place
        if byte[0] < 128:
            return value
    raise ValueError("a number has more than ten digits")
