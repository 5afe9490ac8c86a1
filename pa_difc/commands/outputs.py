"""What commands write to ``--out``: never over files that they did not write, and tables in the format of the name."""

from __future__ import annotations

from pathlib import Path

from ..util.errors import UserError
from ..util.files import refuse_foreign, write_text
from ..util.process import command_line

COMMAND = "command.txt"
_TABLES = ("csv", "json")  #: formats of a table of predictions, and the suffixes of its file


def table_format(out: Path | None, asked: str | None) -> str:
    """The format of a table: the one asked for, else the one that its file's suffix names, else CSV.

    Args:
        out: the file; None for standard output.
        asked: "csv", "json", or None for no preference.

    Raises:
        UserError: the suffix names no format, or another one than asked for.
    """
    suffix = out.suffix if out is not None else ""
    named = suffix[1:].lower() or asked or _TABLES[0]
    if named not in _TABLES:
        raise UserError(f"--out {out}: {suffix} is no format of a table; give a name that ends in .csv or .json")
    if asked not in (None, named):
        raise UserError(f"--out {out}: the name is one of {named}, and --format asks for {asked}; change one of them")
    return named


def require_own(out: Path, *names: str) -> None:
    """Refuses a folder that holds somebody else's file under a name that will be written.

    In a folder with runs, such files count as our own. In one without, only a command.txt with our command line does.

    Args:
        out: the folder.
        *names: of the files that will be written.

    Raises:
        UserError: there is somebody else's file.
    """
    runs = (out / "runs").is_dir()
    for name in names:
        refuse_foreign(
            out / name, ours=lambda path: runs or _is_command(path), writer="this command", instead="another --out"
        )


def add_command(out: Path) -> None:
    """Adds this command line to command.txt, which lists once each command that made runs of a folder.

    Raises:
        OSError: the file can't be read or written.
    """
    path, line = out / COMMAND, command_line()
    there = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    write_text(path, "\n".join([*(one for one in there if one != line), line]) + "\n")


def _is_command(path: Path) -> bool:
    """Whether a file is the list of commands, and one of ours made it."""
    if path.name != COMMAND:
        return False
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.split()[:1] in (["pa-difc"], ["python"]) or command_line() in text.splitlines()
