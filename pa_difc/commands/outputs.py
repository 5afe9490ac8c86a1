"""Keeps commands from overwriting files in ``--out`` that they did not write."""

from __future__ import annotations

from pathlib import Path

from ..util.files import refuse_foreign

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
        path = out / name
        ours = runs or (name == COMMAND and _is_command(path))
        refuse_foreign(path, ours=ours, writer="this command", instead="another --out")


def _is_command(path: Path) -> bool:
    if not path.is_file():  # a pipe would never end
        return False
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return False
    return words[:1] == ["pa-difc"] or words[:3] == ["python", "-m", "pa_difc"] or words[:1] == ["python"]
