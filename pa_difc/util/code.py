"""Finds the source files of a registered entry, so that edited code counts as another run."""

from __future__ import annotations

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UserError
from .process import PACKAGE

#: Folders of the standard library and installed packages, whose versions are recorded instead of their code.
_INSTALLED = tuple(
    {Path(sysconfig.get_paths()[key]).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")}
)

#: Names of such folders in any environment.
_PACKAGES = ("site-packages", "dist-packages")


def code_files(entry: Any) -> list[Path]:
    """The source files of an entry, in order.

    For a built-in entry, its own file; for one of an installed package, all files of the package; for one of a plugin
    file, that file and all that it imports, directly or indirectly, that is not installed. Data files are not included.

    Raises:
        UserError: the entry was not defined in a file, but for example in a notebook's cell.
    """
    what = definition(entry)
    module = inspect.getmodule(what)
    file = file_of(module)
    if module is None or file is None:
        raise UserError(f"{what.__qualname__} is in no file, so edits to it can't be detected: put it into one")
    if PACKAGE in file.parents:
        return [file]
    if "." in module.__name__ or hasattr(module, "__path__"):
        top = Path(sys.modules[module.__name__.partition(".")[0]].__path__[0])
        return sorted({file, *top.resolve().rglob("*.py")})
    return sorted(_imported(file, module.__package__ or "", {}))


def definition(entry: Any) -> Any:
    """The function or class behind a partial, a callable object or an entry with a ``code`` attribute."""
    entry = getattr(entry, "code", entry)
    while isinstance(entry, partial):
        entry = entry.func
    return entry if inspect.isclass(entry) or inspect.isfunction(entry) else type(entry)


def require_own_modules(path: Path) -> None:
    """Refuses a file that would import another module in place of one with the same name next to it.

    Raises:
        UserError: there is such a module, for example of another plugin.
    """
    folder, waiting, seen = path.resolve().parent, [path.resolve()], set[Path]()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in {name.partition(".")[0] for name in _import_names(file, "")} - {""}:
            own = next((f for f in (folder / f"{name}.py", folder / name / "__init__.py") if f.is_file()), None)
            found = None if own is None else _find(name)
            if own is None or found is None or is_installed(found):
                continue
            if found != own:
                raise UserError(f"{path}: its module {name} would be that of {found}: rename one of them")
            if own not in seen:
                waiting.append(own)


def _imported(file: Path, package: str, found: dict[Path, None]) -> dict[Path, None]:
    """Adds a file to ``found``, and recursively those of all modules that it imports and that are not installed.

    Imports are read from the source text, so that one inside a function counts whether it has been executed or not.
    """
    if file in found or PACKAGE in file.parents or is_installed(file):
        return found
    found[file] = None
    for name in _import_names(file, package):
        if (other := _find(name)) is not None:
            _imported(other, name if other.name == "__init__.py" else name.rpartition(".")[0], found)
    return found


def _find(name: str) -> Path | None:
    """The file of a module, found without importing it; None for an installed or unknown one."""
    if name in sys.modules:
        return file_of(sys.modules[name])
    places: Sequence[str] | None = None
    origin = None
    for i, part in enumerate(name.split(".")):
        if i and places is None:
            return None
        spec = PathFinder.find_spec(part, places)  # a full name would need the parent's import
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if spec is None or (origin and is_installed(origin)):
            return None
        places = None if (inside := spec.submodule_search_locations) is None else list(inside)
    return origin if origin and origin.suffix == ".py" else None


def _import_names(file: Path, package: str) -> Iterator[str]:
    """The absolute names of a file's imports, anywhere in it; ``from a import b`` gives both a and a.b."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # importing the file will report it
        return
    for node in ast.walk(tree):
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


def file_of(module: ModuleType | None) -> Path | None:
    """The Python file of a module; None if it has none."""
    file = getattr(module, "__file__", None)
    path = Path(file).resolve() if file else None
    return path if path is not None and path.is_file() and path.suffix == ".py" else None


def is_installed(file: Path) -> bool:
    """Whether a file belongs to an installed package, in this environment or in another one on its path.

    Otherwise a torch that is found through a .pth file or PYTHONPATH would count as the user's code, and be read in
    full for every hash.
    """
    return any(folder in _INSTALLED or folder.name in _PACKAGES for folder in file.parents)
