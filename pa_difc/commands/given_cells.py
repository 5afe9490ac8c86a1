"""Settings of cells from parsed flags: flags and ``--set`` override ``--config``, which overrides the defaults."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..losses import LOSSES
from ..methods import METHODS
from ..training.keys import fixed_keys
from ..util.errors import UserError

if TYPE_CHECKING:
    from ..training.given import Given
    from ..training.settings import Settings

#: The settings key that each flag sets.
KEYS = {
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
    missing = dict.fromkeys((*KEYS, "config", "method", "loss", "seed"))
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
    below = {KEYS[k]: g.Given(v, k) for k, v in parsed.command_defaults.items() if k in KEYS and v is not None}
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

    whole = argparse.Namespace(**{**dict.fromkeys(KEYS), **vars(parsed)})
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

    for name, key in KEYS.items():
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
