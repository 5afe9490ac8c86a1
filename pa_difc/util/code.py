"""Which files the code of an entry from outside is in, so that edited code is another run."""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UserError
from .process import PACKAGE

#: Where the standard library and installed packages are: their versions are recorded, not their code.
_INSTALLED = tuple(
    {Path(sysconfig.get_paths()[key]).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def code_files(entry: Any) -> list[Path]:
    """The files that an entry's code is in, in order.

    One of ours: its own. One of an installed package: all of the package. One of a file: that file, and whatever it
    imports that is not installed, directly or through another file. Data that the code reads are not among them.

    Raises:
        UserError: it was not made in a file, as in a notebook's cell.
    """
    what = definition(entry)
    module = inspect.getmodule(what)
    file = _file(module)
    if module is None or file is None:
        raise UserError(
            f"{what.__qualname__} is in no file, so that nobody could tell when it was edited: put it into one"
        )
    if PACKAGE in file.parents:
        return [file]
    if "." in module.__name__ or hasattr(module, "__path__"):
        top = Path(sys.modules[module.__name__.partition(".")[0]].__path__[0])
        return sorted({file, *top.resolve().rglob("*.py")})
    return sorted(_imported(module, {}).values())


def definition(entry: Any) -> Any:
    """The function or class behind a partial, a callable object or an entry that names its code."""
    entry = getattr(entry, "code", entry)
    while isinstance(entry, partial):
        entry = entry.func
    return entry if inspect.isclass(entry) or inspect.isfunction(entry) else type(entry)


def _imported(module: ModuleType, found: dict[str, Path]) -> dict[str, Path]:
    """The files of a module and of all that it imports and that is not installed, by module; added to ``found``."""
    file = _file(module)
    if file is None or module.__name__ in found or PACKAGE in file.parents or _is_installed(file):
        return found
    found[module.__name__] = file
    for name in _import_names(file, module.__package__ or ""):
        if (other := sys.modules.get(name)) is not None:
            _imported(other, found)
    return found


def _import_names(file: Path, package: str) -> Iterator[str]:
    """The absolute names of what a file imports; of ``from a import b`` both a and a.b."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*filter(None, parents), *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _file(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    path = Path(file).resolve() if file else None
    return path if path is not None and path.is_file() and path.suffix == ".py" else None


def _is_installed(file: Path) -> bool:
    return any(folder in file.parents for folder in _INSTALLED)
