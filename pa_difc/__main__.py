"""``pa-difc COMMAND``, or ``python -m pa_difc COMMAND``."""

from .commands.console import exit_with
from .commands.parser import main


def entry() -> None:
    """Entry point of the installed ``pa-difc`` script."""
    exit_with(main)


if __name__ == "__main__":
    entry()
