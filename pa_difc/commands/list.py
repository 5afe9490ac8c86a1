"""``pa-difc list``: what there is by name, ours and others', with a line and the options of each."""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLES = """\
  pa-difc list
  pa-difc list methods
  pa-difc list losses --plugin my_loss.py"""

KINDS = ("methods", "losses", "backbones", "datasets", "criteria", "samplers", "loggers")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", choices=KINDS, help=f"one of {', '.join(KINDS)}; all names if left out")


def run(parsed: argparse.Namespace) -> int:
    import pa_difc

    for kind in KINDS if parsed.kind is None else (parsed.kind,):
        registry = getattr(pa_difc, kind.upper())
        if parsed.kind is None:
            print(f"{kind:<10} {', '.join(registry)}")
        else:
            _describe(registry.loaded())
    return 0


def _describe(entries: dict[str, Any]) -> None:
    """A line for each entry, and below it one for each of its options: how it is set, its default, what it means."""
    from ..util.options import Options, describe

    width = max(map(len, entries))
    for name, entry in entries.items():
        about = getattr(entry, "about", None) or (entry.__doc__ or "").partition("\n")[0]
        print(f"{name:<{width}}  {about}")
        kind: type[Options] = getattr(entry, "Options", getattr(entry, "options", Options))
        for option in describe(kind).values():
            print(f"{'':<{width}}    {option.name} = {option}")
