"""``pa-difc COMMAND``, or ``python -m pa_difc COMMAND``."""

from .commands.console import exit_with
from .commands.parser import main


def entry() -> None:
    """What the installed script calls."""
    exit_with(main)


if __name__ == "__main__":
    entry()
