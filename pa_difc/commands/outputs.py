"""What commands write into ``--out`` beside runs: never over files of somebody else's."""

from __future__ import annotations

from pathlib import Path

from ..util.files import refuse_foreign
from ..util.process import command_line

COMMAND = "command.txt"


def require_own(out: Path, *names: str) -> None:
    """Refuses a folder in which something that is not ours has the name of a file that will be written.

    Files are ours in a folder with runs. Before there are any, a command line of ours is.

    Raises:
        UserError: there is one.
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
