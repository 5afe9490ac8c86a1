"""Flags that the commands share, and how they become settings.

Flags and ``--set`` override ``--config``, which overrides the command's defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backbones import BACKBONES
from ..data.datasets import dataset_names
from ..data.sampling import sampler_names
from ..losses import LOSSES
from ..methods import METHODS
from ..training.keys import CELL_KEYS, fixed_keys
from ..training.loggers import LOGGERS
from ..training.team import Team
from ..util.errors import UserError
from ..util.terminal import wrapped

if TYPE_CHECKING:
    from ..training.given import Given
    from ..training.settings import Settings

#: The settings key that each flag sets.
_FLAGS = {
    "source": "data.source",
    "target": "data.target",
    "data_root": "data.root",
    "labels": "data.labels",
    "epochs": "run.epochs",
    "backbone": "model.backbone",
    "feature_head": "model.feature_head",
    "landmark_branch": "model.landmark_branch",
    "pool": "model.pool",
    "maps": "model.maps",
    "pretrained": "model.pretrained",
    "device": "run.device",
    "on_bad_image": "data.on_bad_image",
    "deterministic": "run.deterministic",
    "deduplicate": "data.deduplicate",
    "group_by": "data.group_by",
    "near_duplicates": "data.near_duplicates",
    "sampler": "data.sampler",
    "target_sampler": "data.target_sampler",
    "prior_correction": "run.prior_correction",
}


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
        default = defaults.get(name, keys[_FLAGS[name]].default)
        shown = "" if default in (None, False) else f" (default: {default})"
        parser.add_argument(flag, default=None, help=f"{about}{shown}".replace("%", "%%"), **kwargs)

    add("--source", f"labelled dataset: {', '.join(dataset_names())}; or none", metavar="NAME")
    add("--target", "unlabelled dataset: any of these, or images:PATH", metavar="NAME")
    add("--data-root", "folder that holds the datasets, each in a folder of its name", metavar="DIR")
    add("--labels", "the classes: expressions, expressions8, valence, folders or FILE.toml", metavar="SET")
    add("--epochs", "passes over the larger domain; the paper: 40", type=int, metavar="N")
    add("--backbone", f"feature extractor: {', '.join([*BACKBONES, *BACKBONES.patterns])}", metavar="NAME")
    add("--feature-head", "global_local or global_only (default: the backbone's own)", metavar="NAME")
    add("--landmark-branch", "network branch of each landmark: conv or ir", metavar="NAME")
    add(
        "--pool",
        "average (of the last map), or grid (averages over a grid of cells, which keep positions)",
        metavar="NAME",
    )
    add("--maps", "feature maps under the grid, such as mid, late or mid+late+last", metavar="NAMES")
    add("--pretrained", "weights for the backbone", metavar="FILE")
    add("--device", "cpu, cuda or cuda:N", metavar="NAME")
    add("--sampler", f"how source samples are drawn: {', '.join(sampler_names('source'))}", metavar="NAME")
    add("--target-sampler", f"how target samples are drawn: {', '.join(sampler_names('target'))}", metavar="NAME")
    about = "correct predictions for an estimated target class prior: none, bbse, rlls or mlls"
    add("--prior-correction", about, metavar="NAME")
    add("--deduplicate", "drop exact duplicates, also across splits, and report them", action="store_true")
    add_arrangement_flags(parser)
    add("--deterministic", "deterministic algorithms only (slower on CUDA)", action="store_true")
    add("--on-bad-image", "images that can't be read: skip them, or stop with error", metavar="WHAT")
    out = "where records, checkpoints and tables go (default: %(default)s)"
    parser.add_argument("--out", type=Path, default=Path(defaults.get("out", "runs")), metavar="DIR", help=out)
    about = "a TOML file of settings, such as the settings.toml of a run or the best.toml of a study; flags override it"
    parser.add_argument("--config", type=Path, metavar="FILE", help=about)
    about = "any other key, such as method.weight=0.5 or lr=0.01; listed below"
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=about)


def add_arrangement_flags(parser: argparse.ArgumentParser) -> None:
    """Adds ``--group-by`` and ``--near-duplicates``, for commands that read lists of samples."""
    about = (
        "keep samples on one side of the split that agree in this: a column of the set's list, or a regular expression "
        r"that is looked for in their names, such as 'P\d+'"
    )
    parser.add_argument("--group-by", default=None, metavar="PATTERN|COLUMN", help=about)
    about = (
        "find pictures that were saved anew, scaled or mirrored, and drop all but one, group (keep them on one side of "
        "the split) or keep them"
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


def add_jobs_flags(parser: argparse.ArgumentParser, *, cluster: bool = True) -> None:
    """Adds ``--jobs``, ``--devices`` and ``--cluster``, for commands that train grids."""
    about = "train N cells in parallel, each in a single-threaded process (default: one per core; 1 on a GPU)"
    parser.add_argument("--jobs", type=int, default=None, metavar="N", help=about)
    about = "train cells in parallel on these, such as cuda:0 cuda:1; with more --jobs, several on each"
    parser.add_argument("--devices", nargs="+", default=[], metavar="NAME", help=about)
    parser.set_defaults(cluster=None)
    if not cluster:
        return
    about = (
        "train cells on the workers of a dask scheduler, tcp://host:8786 or the file that it writes: as many at a time "
        "as they have threads, or --jobs"
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
    about = f"also log the scalars of every epoch to {', '.join(LOGGERS)}"
    parser.add_argument("--log", metavar="NAME", help=about)


def add_features_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--features``, for commands that can train heads on extracted features."""
    about = "train the whole network (full), or heads on features extracted once (frozen) (default: full)"
    parser.add_argument("--features", choices=("full", "frozen"), default=None, help=about)


def settings_of_cell(parsed: argparse.Namespace, *, method: str = "mcd", loss: str = "difc") -> Settings:
    """The resolved settings of one run, from parsed flags.

    Args:
        parsed: of a command with :func:`add_cell_flags`.
        method, loss: defaults, if neither flags nor file name any.

    Raises:
        UserError: a value is not valid.
    """
    one = argparse.Namespace(**vars(parsed))
    for many, single in (("methods", "method"), ("losses", "loss"), ("seeds", "seed")):
        value = getattr(parsed, single, None)
        setattr(one, many, None if value is None else [value])
    (settings,) = settings_of_grid(one, methods=[method], losses=[loss])
    return settings


def settings_of_some(parsed: argparse.Namespace, *, method: str, loss: str) -> Settings:
    """The resolved settings of a command that has only ``--set`` and some of the training flags.

    Args:
        parsed: of the command.
        method, loss: its own.

    Raises:
        UserError: a value is not valid.
    """
    missing = dict.fromkeys((*_FLAGS, "config", "method", "loss", "seed"))
    whole = argparse.Namespace(**{**missing, "command_defaults": {}, **vars(parsed)})
    return settings_of_cell(whole, method=method, loss=loss)


def settings_of_grid(
    parsed: argparse.Namespace, *, methods: Sequence[str], losses: Sequence[str], **more: Any
) -> list[Settings]:
    """The resolved settings of every cell of a grid, from parsed flags.

    Args:
        parsed: of a command with :func:`add_training_flags`, and ``methods``, ``losses``, ``seeds``. If it has a
            ``block``, these settings of a --grid file replace those of ``--config``.
        methods, losses: defaults, if neither flags nor file name any.
        **more: keys that the command sets itself, by full name with "__" for the dot.

    Raises:
        UserError: a value is not valid.
    """
    from ..training import given as g
    from ..training.settings_file import for_cells

    pairs, file = [*_flags(parsed), *g.read_assignments(parsed.set)], _file(parsed)
    backbone, made = g.first_value("model.backbone", [*pairs, *file.items()]), {}
    if backbone is None:
        made = _made_as(g.first_value("model.pretrained", [*pairs, *file.items()]))
        backbone = made.get("model.backbone", fixed_keys()["model.backbone"].default)
    cells = g.Cells(
        expand(METHODS, _named(parsed.methods, g.first_value("method.name", file.items()), methods)),
        expand(LOSSES, _named(parsed.losses, g.first_value("loss.name", file.items()), losses)),
        list(dict.fromkeys(_named(getattr(parsed, "seeds", None), g.first_value("run.seed", file.items()), [0]))),
        backbone,
    )
    own = g.whole_keys(pairs, cells)
    g.refuse_cell_keys(own)
    g.refuse_idle_training(own, cells)
    below = {_FLAGS[k]: g.Given(v, k) for k, v in parsed.command_defaults.items() if k in _FLAGS and v is not None}
    below |= {key: g.Given(value, "--pretrained") for key, value in made.items()}
    fixed = {key.replace("__", "."): g.Given(value, key) for key, value in more.items()}
    return g.cell_settings({**below, **for_cells(file, cells), **own, **fixed}, cells)


def settings_of_rows(
    parsed: argparse.Namespace, rows: Sequence[tuple[str, str, dict[str, Any]]], defaults: dict[str, Any]
) -> list[Settings]:
    """The resolved settings of cells that a command fixes itself, each with its own options.

    Args:
        parsed: of a command that has ``--set`` and some of the training flags, which override everything else.
        rows: method, loss, and options by full key, for each cell.
        defaults: of the command, by full key.

    Raises:
        UserError: a value is not valid.
    """
    from ..training import given as g

    whole = argparse.Namespace(**{**dict.fromkeys(_FLAGS), **vars(parsed)})
    pairs = [*_flags(whole), *g.read_assignments(parsed.set)]
    backbone = g.first_value("model.backbone", pairs) or defaults["model.backbone"]
    named = g.Cells([method for method, *_ in rows], [loss for _, loss, _ in rows], [0], backbone)
    own = g.whole_keys(pairs, named)
    g.refuse_cell_keys(own)
    made, use = [], g.Use()
    for method, loss, options in rows:
        below = {key: g.Given(value, key) for key, value in (defaults | options).items()}
        made += g.cell_settings({**below, **own}, g.Cells([method], [loss], [0], backbone), use)
    use.require(own)
    return made


def expand(registry: Any, names: Sequence[str]) -> list[str]:
    """The named entries, each once and in the order given; "all" stands for the whole registry.

    "all" leaves out methods that need pretrained weights, which not every command line has: name them beside it.

    Raises:
        UserError: there is no such entry.
    """
    found = []
    for name in names:
        if name == "all":
            found += [
                n
                for n, entry in registry.loaded().items()
                if getattr(entry, "same_as", None) not in registry and not getattr(entry, "needs_pretrained", False)
            ]
        else:
            if "=" in name and name not in registry:
                raise UserError(f"{name}: not a {registry.kind}; settings go after --set, as in --set {name}")
            registry.lookup(name)
            found.append(name)
    return list(dict.fromkeys(found))


def describe_keys() -> str:
    """A line for each settings key, for help texts."""
    lines = [f"  {key}={about.default}: {about.about}" for key, about in fixed_keys().items() if key not in CELL_KEYS]
    lines = [wrapped(line, 6) for line in lines]
    return "\n".join([*lines, "and the options of methods, losses and backbones: pa-difc list methods"])


def _file(parsed: argparse.Namespace) -> Mapping[str, Given]:
    """The settings from ``--config`` or from a block of a --grid file, which flags override."""
    from ..training.settings_file import read_settings

    block: Mapping[str, Given] | None = getattr(parsed, "block", None)
    if block is not None:
        return block
    return read_settings(parsed.config) if parsed.config else {}


def _flags(parsed: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """The keys and values of the flags that were given."""
    from ..training.given import Given

    for name, key in _FLAGS.items():
        if (value := getattr(parsed, name)) is not None and value is not False:
            yield key, Given(value, f"--{name.replace('_', '-')}")


def _made_as(pretrained: str | None) -> dict[str, Any]:
    """The network settings that a model folder holds, by full key; {} for other weights, which hold none."""
    from ..backbones.places import is_model_folder

    if not is_model_folder(pretrained):
        return {}
    from ..training.stored import network_of  # which needs torch

    return network_of(pretrained)


def _named(flag: Sequence[Any] | None, in_file: Any, default: Sequence[Any]) -> Sequence[Any]:
    if flag is not None:
        return flag
    return default if in_file is None else [in_file]
