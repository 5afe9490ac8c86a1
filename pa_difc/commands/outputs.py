"""Keeps commands from overwriting files in ``--out`` that they did not write."""

from __future__ import annotations

from pathlib import Path

from ..util.files import refuse_foreign
from ..util.process import command_line

COMMAND = "command.txt"


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


def _is_command(path: Path) -> bool:
    """Whether a file is the list of commands, and one of ours made it."""
    if path.name != COMMAND:
        return False
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.split()[:1] in (["pa-difc"], ["python"]) or command_line() in text.splitlines()
