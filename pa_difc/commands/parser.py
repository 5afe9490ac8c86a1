"""The command line's parser. A command's flags are imported when it is named, its other modules when it is run."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..util.errors import UserError
from ..util.registry import load_plugin
from ..util.version import VERSION
from .command_parser import EXAMPLES_HEAD, CommandParser
from .console import exit_with

#: Modules of this package, in the order in which a newcomer needs them. Their descriptions are here, so that ``--help``
#: need not import them.
COMMANDS = {
    "doctor": "check the installation: versions, device, data and a training step of every method",
    "list": "list methods, losses, backbones, datasets, criteria, samplers or loggers, with their options",
    "datasets": "list the datasets; with a name, show its origin, its expected layout and what was found",
    "weights": "list public weights: the backbone that each fits, origin, terms, and whether you have them",
    "prepare": "detect and crop a dataset's faces, find their landmarks, and write a face store for training",
    "train": "train one method with one loss on one pair of datasets",
    "adapt": "train the best classifier for unlabelled faces within a time budget, chosen without their labels",
    "compare": "train methods × losses × seeds side by side on one pair of datasets, and print the table",
    "shift": "compare methods and losses under ever stronger label shift",
    "search": "tune DIFC's margin cap and ε for a target without labels",
    "report": "write one self-contained page, tables and figures from the records of a grid",
    "errors": "show the faces that a run gets wrong or is unsure of, and write all its predictions",
    "predict": "find the faces in images and classify them",
    "serve": "serve a local page that classifies the faces in photographs or from the camera",
    "views": "choose the crop and the views that suit a pretrained classifier, without labels",
    "export": "export a finished run's model as one folder: weights, settings, model card and other formats",
}
ABOUT = "Domain adaptation for imbalanced faces: DIFC inside pytorch-adapt's methods."

#: Commands that a launcher such as torchrun may run in several processes.
_DISTRIBUTED = ("train",)


#: A setting, such as lr=0.05 or method.weight=2.
_SETTING = re.compile(r"[a-z_]\w*(\.\w+)?=.*", re.DOTALL)

#: Flags of version 0.1, and their names since 0.2.
_OLD_FLAGS = {
    "--backbone-head": "--feature-head",
    "--local-head": "--landmark-branch",
    "--adjust": "--prior-correction",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that ``argv`` names; returns its exit code, 2 if it names none."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv:
        make_parser("").print_help(sys.stderr)
        return 2
    refuse_mistakes(argv)
    return run_parsed(argv[0], parse(make_parser(argv[0]), argv))


def run_script(name: str) -> None:
    """Runs one command from its own script, such as recipes/compare.py, and exits.

    Args:
        name: of the command.
    """
    module = _module(name)
    parser = CommandParser(prog=Path(sys.argv[0]).name, **_texts(name, module))
    _fill(parser, module)

    def run() -> int:
        refuse_mistakes(sys.argv[1:])
        return run_parsed(name, parse(parser, sys.argv[1:]))

    exit_with(run)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parses a command line; exits as argparse does if it can't be parsed.

    Raises:
        UserError: a setting such as lr=0.01 was given without ``--set`` before it.
    """
    parsed, rest = parser.parse_known_args(argv)
    own: argparse.ArgumentParser = getattr(parsed, "own_parser", parser)  # says the command's usage, not all commands'
    settings = [word for word in rest if _SETTING.fullmatch(word)]
    if settings and hasattr(parsed, "set"):
        words = " ".join(settings)
        raise UserError(f"{words}: settings go after --set, as in --set {words}")
    if rest:
        own.error(f"unrecognized arguments: {' '.join(rest)}")
    return parsed


def refuse_mistakes(argv: Sequence[str]) -> None:
    """Refuses flags of version 0.1, and names their successors; and empty words, which as paths mean this folder.

    Raises:
        UserError: there is such a flag, or an empty word, as an unset variable of a shell leaves.
    """
    for before, word in zip(["", *argv], argv, strict=False):
        if not word or re.fullmatch(r"--[\w-]+=", word):
            where = f"{word or before}: its value" if (word or before).startswith("--") else "an argument"
            raise UserError(f"{where} is empty; is a variable unset? (. is this folder)")
        if new := _OLD_FLAGS.get(word.partition("=")[0]):
            raise UserError(f"{word.partition('=')[0]} is called {new} since version 0.2")


def run_parsed(name: str, parsed: argparse.Namespace) -> int:
    """Runs a command whose flags are parsed; returns its exit code.

    Raises:
        UserError: a launcher started several processes of a single-process command, or a plugin can't be loaded.
    """
    from ..util.distributed import require_one_process

    if name not in _DISTRIBUTED:
        require_one_process(name)
    for path in parsed.plugin:
        load_plugin(path)
    code: int = parsed.run(parsed)
    return code


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, with the arguments of the command ``only``, or of every one if None."""
    parser = CommandParser(
        prog="pa-difc", description=ABOUT, epilog="pa-difc COMMAND --help shows the options of a command."
    )
    parser.add_argument("--version", action="version", version=f"pa-difc {VERSION}")
    completing = only is not None and only.startswith("--print-completion")
    if completing:
        only = None
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        if only not in (None, name):
            subparsers.add_parser(name, help=about)
        else:
            module = _module(name)
            _fill(subparsers.add_parser(name, help=about, **_texts(name, module)), module)
    if completing:
        from .completion import add_completion, complete_names  # slow: imports every registry

        add_completion(parser)
        complete_names(parser)
    return parser


def add_plugin_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--plugin``, which every command has."""
    about = "a Python file that registers your own methods, losses, backbones, datasets …; repeatable"
    parser.add_argument("--plugin", action="append", default=[], type=Path, metavar="FILE.py", help=about)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f".{name}", __package__)


def _texts(name: str, module: ModuleType) -> dict[str, Any]:
    about = COMMANDS[name]
    return {
        "description": about[0].upper() + about[1:] + ".",
        "epilog": f"{EXAMPLES_HEAD}{module.EXAMPLES}",
    }


def _fill(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    module.arguments(parser)
    add_plugin_flag(parser)
    parser.set_defaults(run=module.run, own_parser=parser)
