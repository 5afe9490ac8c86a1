"""``pa-difc COMMAND``, or ``python -m pa_difc COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from . import __version__
from .commands.flags import run_command
from .util.distributed import require_one_process

#: Modules of :mod:`pa_difc.commands` in the order of a newcomer's path; what they are about stands here, so that
#: ``--help`` need not import them.
COMMANDS = {
    "doctor": "check versions, device, data and one step of every method, and say what to do",
    "datasets": "list the datasets; with a name, say where it comes from, what is looked for and what was found",
    "prepare": "find the faces of a dataset and their landmarks, cut them out, and write a face store for training",
    "train": "train one method with one loss on one pair of datasets",
    "compare": "train methods × losses × seeds side by side on one pair of datasets, and print the table",
    "shift": "compare methods and losses on a target whose class proportions are shifted on purpose, ever more",
    "search": "tune DIFC's margin cap and ε for a target without labels",
    "report": "write one self-contained page, tables and figures from the records of a grid",
    "predict": "find the faces in images and say what they express",
    "export": "write a finished run's model as one folder: weights, settings, card, and other formats",
}
ABOUT = "Domain adaptation for imbalanced faces: DIFC inside pytorch-adapt's methods."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that ``argv`` names; returns its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parsed = make_parser(argv[0] if argv else "").parse_args(argv)
    if argv[0] != "train":
        require_one_process(argv[0])
    return parsed.run(parsed)


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, with the arguments of one, or for None of every one."""
    parser = argparse.ArgumentParser(prog="pa-difc", description=ABOUT, epilog="pa-difc COMMAND --help says more.")
    parser.add_argument("--version", action="version", version=f"pa-difc {__version__}")
    if only is None or only.startswith("--print-completion"):
        _add_completion(parser)
        only = None
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        if only not in (None, name):
            subparsers.add_parser(name, help=about)
        else:
            module = _module(name)
            _fill(subparsers.add_parser(name, help=about, **_texts(name, module)), module)
    return parser


def run_script(name: str) -> None:
    """Runs one command from a script of its own, such as recipes/compare.py, and exits."""
    module = _module(name)
    parser = argparse.ArgumentParser(prog=Path(sys.argv[0]).name, **_texts(name, module))
    _fill(parser, module)

    def main() -> int:
        parsed = parser.parse_args()
        require_one_process(name)
        return module.run(parsed)

    run_command(main)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f".commands.{name}", __package__)


def _texts(name: str, module: ModuleType) -> dict[str, object]:
    about = COMMANDS[name]
    return {
        "description": about[0].upper() + about[1:] + ".",
        "epilog": f"examples:\n{module.EXAMPLES}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _fill(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    module.arguments(parser)
    parser.set_defaults(run=module.run)


def _add_completion(parser: argparse.ArgumentParser) -> None:
    try:
        import shtab
    except ImportError:
        parser.error("completion needs shtab: pip install 'pa-difc[completion]'")
    shtab.add_argument_to(parser)


def entry() -> None:
    """What the installed script calls."""
    run_command(main)


if __name__ == "__main__":
    entry()
