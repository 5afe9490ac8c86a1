"""Flags that the commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..backbones import BACKBONES
from ..data.datasets import dataset_names
from ..data.sampling import sampler_names
from ..losses import LOSSES
from ..methods import METHODS
from ..training.keys import CELL_KEYS, fixed_keys
from ..training.loggers import LOGGERS, require_loggers
from ..training.team import Team
from ..util.errors import UserError
from .given_cells import KEYS


def add_training_flags(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Adds the flags that every training command has; ``--set`` reaches the other settings.

    Args:
        parser: of the command.
        **defaults: by flag, where the command's defaults differ from those of the settings.
    """
    parser.epilog = f"{parser.epilog}\n\nkeys for --set, by full or short name:\n{describe_keys()}"
    parser.set_defaults(command_defaults=defaults)
    keys = fixed_keys()

    def add(flag: str, about: str, **kwargs: Any) -> None:
        name = flag.removeprefix("--").replace("-", "_")
        default = defaults.get(name, keys[KEYS[name]].default)
        shown = "" if default in (None, False) else f" (default: {default})"
        parser.add_argument(flag, default=None, help=f"{about}{shown}".replace("%", "%%"), **kwargs)

    add("--source", f"labelled dataset: {', '.join(dataset_names())}; or none", metavar="NAME")
    add("--target", "unlabelled dataset: any of these, or images:PATH", metavar="NAME")
    add("--data-root", "folder that holds the datasets, each in a folder of its name", metavar="DIR")
    add("--labels", "the classes: expressions, expressions8, valence, folders or FILE.toml", metavar="SET")
    add("--epochs", "passes over the larger domain; the paper trains 40", type=int, metavar="N")
    add("--backbone", f"feature extractor: {', '.join([*BACKBONES, *BACKBONES.patterns])}", metavar="NAME")
    add("--feature-head", "global_local or global_only (default: the backbone's own)", metavar="NAME")
    add("--landmark-branch", "kind of network branch for each landmark: conv or ir", metavar="NAME")
    add(
        "--pool",
        "average (of the last map) or grid (an average per cell of a grid, which keeps positions)",
        metavar="NAME",
    )
    add("--maps", "feature maps under the grid, such as mid, late or mid+late+last", metavar="NAMES")
    add("--pretrained", "weights for the backbone: a file, a model folder, or hub with timm:NAME", metavar="FILE")
    add("--device", "cpu, cuda or cuda:N", metavar="NAME")
    add("--sampler", f"how source samples are drawn: {', '.join(sampler_names('source'))}", metavar="NAME")
    add("--target-sampler", f"how target samples are drawn: {', '.join(sampler_names('target'))}", metavar="NAME")
    about = "correct predictions for an estimated target class prior: none, bbse, rlls or mlls"
    add("--prior-correction", about, metavar="NAME")
    add("--deduplicate", "drop exact duplicates, also across splits, and report them", action="store_true")
    add_arrangement_flags(parser)
    add("--deterministic", "deterministic algorithms only (slower on CUDA)", action="store_true")
    add(
        "--on-bad-image",
        "images that can't be read: skip (leave them out and count them) or error (stop)",
        metavar="WHAT",
    )
    out = "where records, checkpoints and tables go (default: %(default)s)"
    parser.add_argument("--out", type=Path, default=Path(defaults.get("out", "runs")), metavar="DIR", help=out)
    about = "a TOML file of settings, such as the settings.toml of a run or the best.toml of a study; flags override it"
    parser.add_argument("--config", type=Path, metavar="FILE", help=about)
    about = "any other key, such as method.weight=0.5 or lr=0.01; listed below"
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=about)


def add_arrangement_flags(parser: argparse.ArgumentParser) -> None:
    """Adds ``--group-by`` and ``--near-duplicates``, for commands that read lists of samples."""
    about = (
        "keep samples in the same split if they share this: a column of the set's list, or what a regular expression "
        r"finds in their names, such as 'P\d+'"
    )
    parser.add_argument("--group-by", default=None, metavar="PATTERN|COLUMN", help=about)
    about = (
        "find re-saved, scaled or mirrored pictures: keep (count them only), group (keep them in the same split) or "
        "drop (all but one)"
    )
    parser.add_argument("--near-duplicates", default=None, metavar="WHAT", help=about)


def add_cell_flags(parser: argparse.ArgumentParser, method: str | None = "mcd") -> None:
    """Adds ``--method``, ``--loss`` and ``--seed``, for commands that train one run.

    Args:
        parser: of the command.
        method: the default method; None if the command's method is fixed, which leaves ``--method`` out.
    """
    add = parser.add_argument
    if method is not None:
        add("--method", default=None, metavar="NAME", help=f"{', '.join(METHODS)} (default: {method})")
    about = "classification loss: {}".format(", ".join(LOSSES))
    add("--loss", default=None, metavar="NAME", help=f"{about} (default: difc)")
    add("--seed", type=int, default=None, metavar="N", help="seed of weights, batches and dropout (default: 0)")


def add_grid_flags(parser: argparse.ArgumentParser, methods: Sequence[str], losses: Sequence[str]) -> None:
    """Adds ``--methods`` and ``--losses``, each "all" or a list of names, with their defaults."""
    for flag, names, default in (("--methods", METHODS, methods), ("--losses", LOSSES, losses)):
        about = f"all, or some of {', '.join(names)} (default: {' '.join(default)})"
        parser.add_argument(flag, nargs="+", default=None, metavar="NAME", help=about)


def seed(text: str) -> int:
    """One seed of a flag that takes several.

    Raises:
        argparse.ArgumentTypeError: it is not a whole number, such as a range.
    """
    try:
        return int(text)
    except ValueError:
        about = "must be whole numbers separated by spaces, such as 0 1 2"
        raise argparse.ArgumentTypeError(f"{text!r}: {about}") from None


def add_jobs_flags(parser: argparse.ArgumentParser, *, cluster: bool = True) -> None:
    """Adds ``--jobs``, ``--devices`` and ``--cluster``, for commands that train grids."""
    about = "train N runs in parallel, each in a single-threaded process (default: one per core; 1 on a GPU)"
    parser.add_argument("--jobs", type=int, default=None, metavar="N", help=about)
    about = "train runs in parallel on these, such as cuda:0 cuda:1; with more --jobs than devices, several on each"
    parser.add_argument("--devices", nargs="+", default=[], metavar="NAME", help=about)
    parser.set_defaults(cluster=None)
    if not cluster:
        return
    about = (
        "train runs on the workers of a dask scheduler, given by its address (tcp://host:8786) or scheduler file; one "
        "run per thread, or at most --jobs"
    )
    parser.add_argument("--cluster", default=None, metavar="ADDRESS|FILE", help=about)


def read_jobs(parsed: argparse.Namespace) -> Team:
    """The workers that train the cells, from the flags of :func:`add_jobs_flags`.

    Raises:
        UserError: the number of jobs is below 1, or flags contradict each other.
    """
    if parsed.jobs is not None and parsed.jobs < 1:
        raise UserError(f"--jobs {parsed.jobs}: must be at least 1")
    if parsed.devices and getattr(parsed, "device", None) is not None:
        raise UserError("--device and --devices: give one of them")
    if parsed.cluster is not None and parsed.devices:
        about = "GPUs of this machine; workers of a cluster have their own: start each with CUDA_VISIBLE_DEVICES"
        raise UserError(f"--devices and --cluster: the first names {about}, and give --device cuda")
    return Team(parsed.jobs or len(parsed.devices) or None, parsed.devices, parsed.cluster)


def add_log_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--log``, for commands that train."""
    about = f"also log the numbers of every epoch to {', '.join(LOGGERS)}; repeatable"
    parser.add_argument("--log", metavar="NAME", action="append", default=[], help=about)


def check_log(parsed: argparse.Namespace) -> None:
    """Checks ``--log`` before anything is read or trained; a logger that was given twice is used once.

    Raises:
        UserError: there is no such logger, or its package is not installed.
    """
    parsed.log = list(dict.fromkeys(parsed.log))
    require_loggers(parsed.log)


def add_features_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--features``, for commands that can train heads on extracted features."""
    about = "full: train the whole network; frozen: train heads on features extracted once (default: full)"
    parser.add_argument("--features", choices=("full", "frozen"), default=None, help=about)


def describe_keys() -> str:
    """A line for each settings key, for help texts."""
    keys = {key: about for key, about in fixed_keys().items() if key not in CELL_KEYS}
    lines = [f"  {key}={_as_typed(about.default)}: {about.about}" for key, about in keys.items()]
    return "\n".join([*lines, "and the options of methods, losses and backbones: pa-difc list methods"])


def _as_typed(default: object) -> str:
    """A default as ``--set`` takes it: none, true or false for Python's."""
    return str(default).lower() if default is None or isinstance(default, bool) else str(default)
