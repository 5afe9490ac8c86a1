"""Tells code of users and of plugins from that of libraries."""

from __future__ import annotations

import sys

from .code import file_of, is_installed
from .process import PACKAGE
from .registry import installed

#: Packages of which no module is a plugin's; looking for a file takes longer.
_LIBRARIES = frozenset({"builtins", "numpy", "pytorch_adapt", "torch", PACKAGE.name})

_GROUPS = ("methods", "losses", "backbones", "datasets", "samplers", "criteria", "loggers")


def is_plugin_module(name: str) -> bool:
    """Whether a module is a user's file, or belongs to an installed plugin."""
    if name == "__main__" and getattr(sys.modules.get(name), "__file__", None) is None:
        return True  # a notebook
    top = name.partition(".")[0]
    if top in _LIBRARIES:
        return False
    if top in _plugin_packages():
        return True
    file = file_of(sys.modules.get(name))
    return file is not None and PACKAGE not in file.parents and not is_installed(file)


def _plugin_packages() -> set[str]:
    """The packages that entry points of plugins name."""
    entries = (entry for kind in _GROUPS for entry in installed(f"pa_difc.{kind}").values())
    return {entry.value.partition(":")[0].partition(".")[0] for entry in entries}
