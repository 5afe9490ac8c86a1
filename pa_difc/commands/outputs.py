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
        path = out / name
        ours = runs or (name == COMMAND and _is_command(path))
        refuse_foreign(path, ours=ours, writer="this command", instead="another --out")


def _is_command(path: Path) -> bool:
    if not path.is_file():  # a pipe would never end
        return False
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.split()[:1] in (["pa-difc"], ["python"]) or command_line() in text.splitlines()
