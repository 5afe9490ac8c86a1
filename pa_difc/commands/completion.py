"""Shell completion of commands, flags, and the names that flags accept."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ..backbones import BACKBONES
from ..data import DATASETS, SAMPLERS
from ..evaluation import CRITERIA
from ..losses import LOSSES
from ..methods import METHODS
from ..training.loggers import LOGGERS

#: Names offered for each argument, by its argparse ``dest``; other values can still be typed.
_NAMES: dict[str, Iterable[str]] = {
    **dict.fromkeys(("method", "methods"), METHODS),
    **dict.fromkeys(("loss", "losses"), LOSSES),
    **dict.fromkeys(("source", "sources", "target", "targets", "dataset"), DATASETS),
    **dict.fromkeys(("sampler", "target_sampler", "target_samplers"), SAMPLERS),
    "backbone": BACKBONES,
    "log": LOGGERS,
    "select": CRITERIA,
}
_FOLDERS = ("data_root", "out", "runs", "model", "dir")
_FILES = ("config", "plugin", "space", "grid", "images", "annotate")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Adds ``--print-completion``, which prints a script for bash, zsh or tcsh."""
    try:
        import shtab
    except ImportError:
        parser.error("completion needs shtab: pip install 'pa-difc[completion]'")
    shtab.add_argument_to(parser)


def complete_names(parser: argparse.ArgumentParser) -> None:
    """Makes the arguments of all commands complete names and paths; the parser can parse nothing afterwards."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                complete_names(command)
        elif action.dest in _NAMES and not action.choices:
            action.choices = sorted(_NAMES[action.dest])
        elif action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
