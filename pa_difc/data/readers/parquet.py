"""Reads parquet files that hold the images themselves, as Hugging Face distributes datasets; needs pyarrow."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...util.errors import UserError
from ..foreign import is_system
from .listing import Listing, NotHere, Sample
from .splits import split_of
from .tables import listing_of

_IMAGES = ("image", "img", "image_bytes", "bytes", "jpg", "png", "picture", "face")
_LABELS = ("label", "labels", "emotion", "expression", "class", "fer_label")

_lock = threading.Lock()


@dataclass(frozen=True)
class ParquetImage:
    """A function that returns the bytes of an image in a parquet file."""

    path: Path
    column: str
    group: int  #: row group
    row: int  #: in that group

    def __call__(self) -> bytes:
        with _lock:  # so that parallel threads read a row group only once
            column = _row_group(self.path, self.column, self.group)
        value = column[self.row].as_py()
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise OSError("the file holds no bytes for it")
        return value


def read_parquet(root: Path) -> Listing:
    """Reads a parquet file, or a folder of them, with a column of images and one of labels.

    A file's split is the beginning of its name (``train-00000-of-00002.parquet``) or the name of its folder; otherwise
    it comes from a column "split", or about a fifth is held out as "test". Labels that are numbers get their words from
    the file's Hugging Face metadata; without these they stay numbers, which stand for no expression.

    Raises:
        NotHere: there is no parquet file.
        UserError: pyarrow is not installed, or a file is malformed.
    """
    paths = [root] if root.is_file() else sorted(_below(root))
    if not paths:
        raise NotHere(f"{root}: no *.parquet here")
    base = root.parent if root.is_file() else root
    splits = {path: _split(path.relative_to(base)) for path in paths}
    samples: list[Sample] = []
    columns: dict[str, list[str]] = {}
    for path in paths:
        for sample, others in _rows(path, path.relative_to(base).as_posix()):
            samples.append(sample)
            for name, value in (others | ({"split": splits[path]} if all(splits.values()) else {})).items():
                columns.setdefault(name, []).append(value)
    if any(len(values) != len(samples) for values in columns.values()):
        raise UserError(f"{root}: its files have different columns")
    return listing_of(samples, columns)


def _below(root: Path) -> Iterator[Path]:
    for path in root.rglob("*.parquet"):
        if path.is_file() and not any(map(is_system, path.relative_to(root).parts)):
            yield path


def _split(name: Path) -> str:
    """The split in a file's or its folder's name; "" if there is none."""
    words = (re.split(r"[-.]", name.name)[0], *reversed(name.parts[:-1]))
    return next((split for word in words if (split := split_of(word))), "")


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped]
    except ImportError:
        raise UserError("parquet files need pyarrow: pip install 'pa-difc[parquet]'") from None
    return pq


@lru_cache(maxsize=2)
def _row_group(path: Path, column: str, group: int) -> Any:
    return _pyarrow().ParquetFile(path).read_row_group(group, columns=[column]).column(0)


def _rows(path: Path, name: str) -> Iterator[tuple[Sample, dict[str, str]]]:
    """Yields each row's sample, and the values of its other columns."""
    pq = _pyarrow()
    try:
        file = pq.ParquetFile(path)
    except Exception as error:  # pyarrow can raise anything for a damaged file
        raise UserError(f"{path}: not a readable parquet file ({str(error).splitlines()[0][:80]})") from None
    schema = file.schema_arrow
    image, label = _column(path, schema, _IMAGES, "images"), _column(path, schema, _LABELS, "labels")
    words = _words(schema, label)
    others = [f.name for f in schema if f.name not in (image, label) and _is_plain(f.type)]
    number = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=[label, *others])
        for row, values in enumerate(table.to_pylist()):
            cell = ParquetImage(path, image, group, row)
            sample = Sample(f"{name}#{number}", _word(f"{path}#{number}", values[label], words), "", content=cell)
            yield sample, {other: "" if values[other] is None else str(values[other]) for other in others}
            number += 1


def _is_plain(kind: Any) -> bool:
    return str(kind) in ("string", "large_string", "bool") or str(kind).startswith(("int", "uint", "dictionary"))


def _column(path: Path, schema: Any, names: tuple[str, ...], what: str) -> str:
    there: dict[str, str] = {name.casefold(): name for name in schema.names}
    if (found := next((there[name] for name in names if name in there), None)) is None:
        raise UserError(f"{path}: no column of {what} (found {', '.join(schema.names)}; looked for {', '.join(names)})")
    return found


def _words(schema: Any, label: str) -> list[str] | None:
    """The words for a column of numbers, from the file's metadata; None if it has none."""
    about = (schema.metadata or {}).get(b"huggingface")
    try:
        feature = json.loads(about)["info"]["features"][label] if about else {}
        names = feature.get("names")
        return [str(name) for name in names] if names else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _word(where: str, value: Any, words: list[str] | None) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UserError(f"{where}: label {str(value)[:40]!r} must be a word or a number")
    if isinstance(value, str):
        return value
    if words is None:
        return str(value)
    if not 0 <= value < len(words):
        raise UserError(f"{where}: label {value} must be 0..{len(words) - 1}")
    return words[value]
