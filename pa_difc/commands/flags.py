"""What the commands share: flags for a config, and errors on one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..backbones import BACKBONES
from ..data import EXPRESSIONS
from ..data.datasets import dataset_names
from ..data.sampling import SAMPLERS, TARGET_SAMPLERS
from ..evaluation.prior import ESTIMATORS
from ..losses import LOSSES
from ..methods import METHODS
from ..training.build import resolve
from ..training.engine import Stopped
from ..training.loggers import LOGGERS
from ..training.settings import Config, apply_settings, describe_keys, read_settings
from ..util.errors import UserError
from ..util.plugins import plugins

_FLAGS = (
    "source",
    "target",
    "data_root",
    "epochs",
    "backbone",
    "backbone_head",
    "local_head",
    "pretrained",
    "device",
    "on_bad_image",
    "deterministic",
    "deduplicate",
    "sampler",
    "target_sampler",
    "adjust",
)


def make_parser(about: str, examples: str) -> argparse.ArgumentParser:
    """A parser with the flags that every training command has."""
    epilog = f"examples:\n{examples}"
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, epilog=epilog, formatter_class=kind)
    add_training_flags(parser)
    return parser


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that every training command has; ``--set`` reaches the rest."""
    register_plugins()
    parser.epilog = f"{parser.epilog}\n\nkeys for --set:\n{describe_keys()}"
    default = Config()
    parser.set_defaults(**{name: getattr(default, name) for name in _FLAGS}, set=[])
    add = parser.add_argument
    names = ", ".join(dataset_names())
    add("--source", metavar="NAME", help=f"labelled dataset: {names} (default: %(default)s)")
    add("--target", metavar="NAME", help="unlabelled dataset, likewise, or images:PATH (default: %(default)s)")
    add("--data-root", metavar="DIR", help="folder of datasets, each in a folder of its name (default: %(default)s)")
    add("--epochs", type=int, metavar="N", help="passes over the longer domain (default: %(default)s; the paper: 40)")
    add("--backbone", metavar="NAME", help=f"feature extractor: {', '.join(BACKBONES)} (default: %(default)s)")
    add("--backbone-head", metavar="NAME", help="global_local or global_only (default: the backbone's own)")
    add("--local-head", metavar="NAME", help="branch of a landmark: conv or ir (default: %(default)s)")
    add("--pretrained", metavar="FILE", help="weights for the backbone")
    add("--device", metavar="NAME", help="cpu, cuda or cuda:N (default: %(default)s)")
    add("--sampler", metavar="NAME", help=f"how the source is drawn: {', '.join(SAMPLERS)} (default: %(default)s)")
    add("--target-sampler", metavar="NAME", help=f"the target: {', '.join(TARGET_SAMPLERS)} (default: %(default)s)")
    adjust = f"predictions for an estimated target class prior: none, {', '.join(ESTIMATORS)} (default: %(default)s)"
    add("--adjust", metavar="NAME", help=adjust)
    add("--deduplicate", action="store_true", help="leave out exact duplicates, also across splits, and report them")
    add("--deterministic", action="store_true", help="deterministic algorithms only (slower on CUDA)")
    add(
        "--on-bad-image", choices=("skip", "error"), help="leave out images that can't be read, or stop (default: skip)"
    )
    out = "where records, checkpoints and tables go (default: %(default)s)"
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help=out)
    add("--config", type=Path, metavar="FILE", help="a TOML file of keys, such as the best.toml of a study")
    add("--set", nargs="+", action="extend", metavar="KEY=VALUE", help="any other key; listed below")


def add_log_flag(parser: argparse.ArgumentParser) -> None:
    """``--log``, for commands that train by themselves."""
    about = f"also give the scalars of every epoch to {', '.join(LOGGERS)} or a logger of another package"
    parser.add_argument("--log", metavar="NAME", help=about)


def register_plugins() -> None:
    """Puts the methods, losses and backbones of other packages into the registries; names of ours stay ours."""
    for kind, registry in (("methods", METHODS), ("losses", LOSSES), ("backbones", BACKBONES)):
        for name, entry in plugins(f"pa_difc.{kind}").items():
            registry.setdefault(name, entry)


def config_from(arguments: argparse.Namespace, **fixed: object) -> Config:
    """The resolved config of parsed flags; what ``fixed`` names wins.

    Raises:
        UserError: a value is not valid.
    """
    flags = {name: getattr(arguments, name) for name in _FLAGS}
    file = read_settings(arguments.config) if arguments.config else []
    return resolve(replace(apply_settings(Config(**flags), [*file, *arguments.set]), **fixed))


def recipe_config(about: str, method: str, argv: Sequence[str] | None = None) -> tuple[Config, Path]:
    """Flags of a recipe that trains one method with one loss: its resolved config, and where its output goes."""
    name = Path(sys.argv[0]).name
    parser = make_parser(about, f"  python recipes/{name} --loss difc\n  python recipes/{name} --loss ce --epochs 2")
    parser.add_argument(
        "--loss", default="difc", help=f"classification loss: {', '.join(LOSSES)} (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and dropout (default: %(default)s)")
    arguments = parser.parse_args(argv)
    return config_from(arguments, method=method, loss=arguments.loss, seed=arguments.seed), arguments.out


def print_scores(record: dict[str, Any], folder: Path) -> None:
    """A run's scores on the target, or its predictions where there are no labels, and where its record lies."""
    if (scores := record["scores"].get("target")) is None:
        _print_tally(record)
    else:
        _print_target(record["config"]["target"], scores)
    print(f"record: {folder / 'record.json'}")


def _print_tally(record: dict[str, Any]) -> None:
    scores = record["scores"]
    tally = scores["unlabelled_target"]
    total = sum(tally["predicted"])
    print(f"target {record['config']['target']}, last epoch, {total:,} faces without labels, predicted to be:")
    shares = zip(EXPRESSIONS, tally["predicted"], strict=True)
    print("  " + "   ".join(f"{name} {count / total:.0%}" for name, count in shares))
    print(f"  mean recall on the source's held-out faces {scores['source']['macro_recall']:.1%}")
    if tally["collapsed"]:
        print("  collapsed: fewer than half of the classes were ever predicted")


def _print_target(name: str, scores: dict[str, Any]) -> None:
    print(f"target {name}, last epoch, no target label used:")
    names = {"accuracy": "accuracy", "macro_recall": "mean recall", "macro_f1": "macro-F1"}
    print("  " + "   ".join(f"{name} {scores[key]:.1%}" for key, name in names.items()))
    recalls = zip(EXPRESSIONS, scores["recall"], strict=True)
    print("  recall   " + "   ".join(f"{name} {'–' if r is None else format(r, '.0%')}" for name, r in recalls))
    if scores["collapsed"]:
        print("  collapsed: fewer than half of the classes were ever predicted")


def run_command(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 2 and one line for what the user can mend, 130 after Ctrl-C."""
    try:
        code = main() or 0
    except UserError as error:
        code = _say_error(str(error))
    except OSError as error:  # a full or broken disk, a file or folder that may not be read or written
        place = f"{error.filename}: " if error.filename is not None else ""
        code = _say_error(f"{place}{error.strerror or error}")
    except Stopped as stop:
        print(f"{stop}. Go on with the same command.", file=sys.stderr)
        code = 130
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        code = 130
    sys.exit(code)


def _say_error(text: str) -> int:
    """Prints an error on one line, however much of a file it quotes; returns the exit code."""
    line = " ".join(text.splitlines())
    print("error: " + (line if len(line) <= 1000 else f"{line[:1000]}…"), file=sys.stderr)
    return 2
