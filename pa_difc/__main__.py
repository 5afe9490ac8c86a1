"""``python -m pa_difc COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from .cli import run_command

#: Modules of :mod:`pa_difc.commands`, in the order of a newcomer's path.
COMMANDS = ("datasets", "prepare", "report", "predict", "export")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that ``argv`` names; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pa_difc", description="Domain adaptation for imbalanced faces.")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f".commands.{name}", __package__)
        command = subparsers.add_parser(
            name,
            help=module.ABOUT,
            description=module.ABOUT[0].upper() + module.ABOUT[1:] + ".",
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(command)
        command.set_defaults(run=module.run)
    parsed = parser.parse_args(argv)
    return parsed.run(parsed)


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
