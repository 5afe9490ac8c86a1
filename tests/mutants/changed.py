"""A changed file in a running process, while the one on disk stays as it is."""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.util
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def module_name(file: str) -> str:
    parts = Path(file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions_by_place(files: list[str]) -> dict[tuple[str, int], list[FunctionType]]:
    """The living functions of some files, by file and first line, behind whatever decorators they are."""
    for file in files:
        importlib.import_module(module_name(file))
    names, found = {str(ROOT / file): file for file in files}, dict[tuple[str, int], list[FunctionType]]()
    for thing in gc.get_objects():
        if type(thing) is FunctionType and (file := names.get(thing.__code__.co_filename)):
            found.setdefault((file, thing.__code__.co_firstlineno), []).append(thing)
    return found


def exchange(living: list[FunctionType], file: str, code: str) -> None:
    """Gives functions the body that they have in changed code."""
    bodies = {(b.co_name, b.co_firstlineno): b for b in _bodies(compile(code, str(ROOT / file), "exec"))}
    for function in living:
        function.__code__ = bodies[function.__code__.co_name, function.__code__.co_firstlineno]


def _bodies(code: CodeType) -> list[CodeType]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return inner + [deeper for c in inner for deeper in _bodies(c)]


def forget_and_import_changed(file: str, code: str) -> None:
    """Forgets the package and the tests; what imports them from now on gets the changed file."""
    for name, module in list(sys.modules.items()):
        place = getattr(module, "__file__", None) or ""
        if place.startswith(str(ROOT)) and "site-packages" not in place and not name.startswith(__package__):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(file, code))


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Loads one module from a text instead of from its file."""

    def __init__(self, file: str, code: str) -> None:
        self.path, self.code, self.name = ROOT / file, code, module_name(file)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != self.name:
            return None
        within = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(name, self.path, loader=self, submodule_search_locations=within)

    def get_source(self, name: str) -> str:
        return self.code

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.code, str(self.path), "exec"), module.__dict__)
