"""What a report wrote: the next one there removes what it does not write again, so that nothing is stale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from ..util.files import file_digest, noting, read_json, write_sealed
from ..util.shapes import ANY, FLAG, TEXT, mismatch

#: The file in a report's folder that lists the others.
WRITTEN = "written.json"
_SHAPE: dict[str, Any] = {"files": {}, "options": {"latex": FLAG, "columns": [TEXT], "formats": [TEXT]}, "digest?": ANY}


@dataclass(frozen=True)
class Options:
    """What a report writes beside its page."""

    formats: Sequence[str] = ("svg",)  #: of figures
    latex: bool = False
    columns: Sequence[str] = ()  #: of the main table in LaTeX

    def flags(self) -> str:
        """The flags of ``pa-difc report`` that stand for these options."""
        words = ["--latex"] * self.latex + ["--columns", *self.columns] * bool(self.columns)
        return " ".join([*words, "--figures", *self.formats])


def kept_options(out: Path, asked: Options) -> Options:
    """The options that were asked for, and those of the earlier report: its files would be of other runs.

    Args:
        out: the report's folder.
        asked: by the command.
    """
    if (before := _read(out)) is None:
        return asked
    known = Options(**before["options"])
    formats = (*asked.formats, *(name for name in known.formats if name not in asked.formats))
    table = asked if asked.latex else known
    return Options(formats, table.latex, tuple(table.columns))


@contextmanager
def replaced(out: Path, options: Options) -> Iterator[None]:
    """Notes the files that are written below a folder within the block; then removes the earlier report's other files.

    A file that was changed since is kept.

    Args:
        out: the report's folder.
        options: kept for the next report.

    Raises:
        UserError: a file can't be written.
    """
    before = (_read(out) or {"files": {}})["files"]
    with noting() as paths:
        yield
    own = {path.relative_to(out).as_posix(): file_digest(path) for path in paths if path.is_relative_to(out)}
    for name in before.keys() - own.keys():
        if (out / name).resolve().is_relative_to(out.resolve()):
            _remove(out / name, before[name])
    write_sealed(out / WRITTEN, {"files": dict(sorted(own.items())), "options": asdict(options)})


def _read(out: Path) -> dict[str, Any] | None:
    """What an earlier report noted; None if there is none, or it is damaged."""
    try:
        found: dict[str, Any] = read_json(out / WRITTEN)
    except (OSError, UserError):
        return None
    return None if mismatch(found, _SHAPE) else found


def _remove(path: Path, digest: Any) -> None:
    """Removes a file with this content, and its folder if that is empty then."""
    with suppress(OSError, UserError):
        if not path.is_symlink() and path.is_file() and file_digest(path) == digest:
            path.unlink()
            path.parent.rmdir()
