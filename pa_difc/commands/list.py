"""``pa-difc list``: everything that has a name, plugins' entries included, with a line and the options of each."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

from ..backbones import BACKBONES
from ..data import DATASETS, SAMPLERS
from ..evaluation import CRITERIA
from ..losses import LOSSES
from ..methods import METHODS
from ..training.loggers import LOGGERS
from ..util.options import Options, describe
from ..util.registry import Registry
from ..util.terminal import wrapped

EXAMPLES = """\
  pa-difc list
  pa-difc list methods
  pa-difc list losses --plugin my_loss.py"""

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS,
    "losses": LOSSES,
    "backbones": BACKBONES,
    "datasets": DATASETS,
    "criteria": CRITERIA,
    "samplers": SAMPLERS,
    "loggers": LOGGERS,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    about = f"one of {', '.join(REGISTRIES)} (default: all, names only)"
    parser.add_argument("kind", nargs="?", choices=tuple(REGISTRIES), metavar="KIND", help=about)


def run(parsed: argparse.Namespace) -> int:
    if parsed.kind is not None:
        registry = REGISTRIES[parsed.kind]
        _describe(registry.loaded())
        if registry is METHODS:
            _describe_additions()
        if registry.patterns:
            print(wrapped(f"and {', '.join(registry.patterns)}: any network of the package before the colon", 0))
        return 0
    for kind, registry in REGISTRIES.items():
        print(wrapped(f"{kind:<10} {', '.join([*registry, *registry.patterns])}", 11))
    return 0


def _describe_additions() -> None:
    """Prints the additions, which extend a method by name, as in mcd+NAME."""
    from ..methods.joined import ADDITIONS

    names = ", ".join(f"+{name}" for name in ADDITIONS)
    print("\n" + wrapped(f"can be added to any of them, as in mcd+{next(iter(ADDITIONS))}: {names}", 2))
    for name, (mixin, options) in ADDITIONS.items():
        if name not in METHODS:
            _describe({f"+{name}": SimpleNamespace(about=mixin.about, Options=options)})


def _describe(entries: dict[str, Any]) -> None:
    """Prints a line for each entry, and below it one for each option: its name, default and meaning."""
    width = max(map(len, entries))
    for name, entry in entries.items():
        about = getattr(entry, "about", None) or (entry.__doc__ or "").partition("\n")[0]
        print(wrapped(f"{name:<{width}}  {about}", width + 2))
        kind: type[Options] = getattr(entry, "Options", getattr(entry, "options", Options))
        for option in describe(kind).values():
            print(wrapped(f"{'':<{width}}    {option.name} = {option}", width + 8))
