"""A table of predictions that grows image by image, on standard output or in a file that a rerun resumes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from ..util.errors import UserError
from ..util.files import refuse_links
from ..util.lock import Lock
from ..util.names import escaped
from ..util.version import VERSION
from .earlier import require_replaceable
from .prediction import NO_FACE, columns

Row = Mapping[str, object]


class Format:
    """Writes rows as text, and reads them back.

    Args:
        kind: "csv" or "json".
        classes: the model's class names.
        names: the columns; None stands for those of image predictions.
    """

    def __init__(self, kind: str, classes: Sequence[str], names: Sequence[str] | None = None) -> None:
        self.kind, self._columns = kind, [escaped(name) for name in names or columns(classes)]
        self.start = self._csv([{name: name for name in self._columns}]) if kind == "csv" else "[\n"
        self.end = "" if kind == "csv" else "\n]\n"

    def text(self, rows: Sequence[Row], *, first: bool) -> str:
        """The text of some rows, whose strings are valid UTF-8; ``first`` if no row precedes them."""
        if self.kind == "csv":
            return self._csv(rows)
        objects = ",\n".join(json.dumps(row, indent=1) for row in rows)
        return ("" if first else ",\n") + "\n".join(f" {line}" for line in objects.split("\n"))

    def rows(self, text: str) -> list[Row]:
        """The complete rows of a table that may break off; none if it is not a table with these columns."""
        if not text.startswith(self.start):
            return []
        with suppress(ValueError, csv.Error):
            if self.kind == "json":
                return list(json.loads(text[: text.rfind("\n }") + 3] + "]"))
            found = csv.DictReader(io.StringIO(text), strict=True)
            return [row for row in found if None not in row and None not in row.values()]
        return []

    def _csv(self, rows: Sequence[Row]) -> str:
        lines = []
        for row in rows:
            buffer = io.StringIO()  # csv quotes a cell that holds a character of the line ending: here \r or \n
            csv.DictWriter(buffer, self._columns, restval="", lineterminator="\r\n").writerow(row)
            lines.append(buffer.getvalue().removesuffix("\r\n") + "\n")
        return "".join(lines)


def identity(weights: Mapping[str, Tensor], said: Sequence[object], images: Sequence[Path]) -> str:
    """A hash of everything that predictions depend on: a table begun with something else is not resumed.

    Args:
        weights: of the model.
        said: settings, as plain values and paths.
        images: files; their sizes and modification times are hashed.
    """
    digest = hashlib.blake2b(digest_size=4)
    for name, tensor in weights.items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    digest.update(json.dumps([VERSION, *said], sort_keys=True, default=str).encode())
    for path in images:
        digest.update(os.fsencode(path))
        with suppress(OSError):  # an unreadable file is reported in its row
            status = path.stat()
            digest.update(f" {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class Table:
    """A table that is written to a stream.

    Args:
        stream: for the rows.
        form: of the table.
    """

    done = 0  #: images (or frames) whose rows are written
    problems = 0  #: rows that report a problem instead of a prediction
    unreadable = 0  #: of these, the ones whose image could not be read

    def __init__(self, stream: IO[str], form: Format) -> None:
        self._stream, self._form, self._first = stream, form, True
        self._write(form.start)

    def add(self, rows: Sequence[Row]) -> None:
        """Writes the rows of an image and flushes them, so that they survive the end of the program."""
        self.done += 1
        self._count(rows)
        if not rows:
            return
        written = [{escaped(key): escaped(v) if isinstance(v, str) else v for key, v in row.items()} for row in rows]
        self._write(self._form.text(written, first=self._first))
        self._first = False

    def finish(self) -> None:
        """Writes the end of the table."""
        self._write(self._form.end)

    def close(self) -> None:
        """Releases the output, whether the table is finished or not."""

    def _count(self, rows: Sequence[Row]) -> None:
        self.problems += sum(bool(row.get("problem")) for row in rows)
        self.unreadable += sum(row.get("problem", "") not in ("", NO_FACE) for row in rows)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class FileTable(Table):
    """A table that is written to a file. The file appears when the table is finished; until then ``part`` holds it.

    Args:
        out: the file.
        form: of the table.
        identity: from :func:`identity`; part of the partial file's name.
        names: of the images, in order; None for a table that is never resumed.
        pictures: for each image, its annotated picture, without which the image is not done; empty without pictures.

    Raises:
        UserError: ``out`` is somebody else's file or a link, has predictions for other images, can't be written, or
            another process is writing it.
    """

    def __init__(
        self, out: Path, form: Format, identity: str, names: Sequence[str] | None, pictures: Sequence[Path] = ()
    ) -> None:
        self._out, self.part = out, out.with_name(f"{out.name}.part-{identity}")
        refuse_links(out, self.part, instead="another --out")
        if out.exists() and not out.is_file():
            raise UserError(f"--out {out} is not a file: give one, or omit it to write to standard output")
        require_replaceable(out, names)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {out}: {error.strerror}") from None
        lock, owner = (out.with_name(f".{out.name}.{end}") for end in ("lock", "owner.json"))
        self._lock = Lock(lock, owner, doing="is writing this table; wait for it, or give another --out", where=out)
        try:
            self._stream = self.part.open("a+", encoding="utf-8", newline="")
        except OSError as error:
            self._lock.release()
            raise UserError(f"cannot write {self.part}: {error.strerror}") from None
        self._form = form
        if names is None:
            self._begin()
        else:
            self._go_on(names, pictures)

    def finish(self) -> None:
        """Completes the table, and moves it to its place."""
        super().finish()
        os.fsync(self._stream.fileno())
        if sys.platform == "win32":  # where an open file can't be moved
            self._stream.close()
        refuse_links(self._out, instead="another --out")
        self.part.replace(self._out)
        self.close()

    def close(self) -> None:
        self._stream.close()
        self._lock.release()

    def _begin(self) -> None:
        self._stream.truncate(0)
        self._write(self._form.start)
        self._first = True

    def _go_on(self, names: Sequence[str], pictures: Sequence[Path]) -> None:
        """Resumes: keeps the rows of finished images, but not those of the last one, which may be incomplete."""
        self._stream.seek(0)
        try:
            text = self._stream.read()
        except UnicodeDecodeError:
            text = ""
        images = [(name, list(rows)) for name, rows in groupby(self._form.rows(text), key=lambda row: row["file"])][:-1]
        if [name for name, _ in images] != [escaped(name) for name in names[: len(images)]]:
            images = []
        drawn = (_is_drawn(rows, picture) for (_, rows), picture in zip(images, pictures, strict=False))
        images = images[: next((i for i, done in enumerate(drawn) if not done), len(images))]
        kept = [row for _, rows in images for row in rows]
        whole = self._form.start + (self._form.text(kept, first=True) if kept else "")
        if not text.startswith(whole):
            images, kept = [], []
            self._begin()
        else:
            self._stream.truncate(len(whole.encode()))
        self.done, self._first = len(images), not kept
        self._count(kept)


def _is_drawn(rows: Sequence[Row], picture: Path) -> bool:
    """Whether an image's picture exists, or none is due because the image can't be read."""
    return picture.is_file() or any(row["problem"] not in ("", NO_FACE) for row in rows)
