"""Registries of named entries: built-in ones, those of installed packages, and those of ``--plugin`` files.

Listing names imports nothing; an entry is imported when it is looked up.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, overload

from .code import code_files, definition, require_own_modules
from .errors import UserError
from .names import unknown
from .process import PACKAGE

T = TypeVar("T")


class Registry(MutableMapping[str, T], Generic[T]):
    """Entries by name, in the order: built-in, registered, of installed packages.

    Names of built-in entries can't be taken.

    Args:
        kind: what an entry is, for errors, such as "method".
        entries: the place of each built-in entry: ``{"mcd": "pa_difc.methods.mcd:MCD"}``.
        group: the entry-point group for other packages, such as "pa_difc.methods".
        families: by prefix, the place of a function that makes an entry from a name such as "timm:resnet18". Such names
            are valid, but not listed.
    """

    def __init__(
        self, kind: str, entries: Mapping[str, str], group: str, families: Mapping[str, str] | None = None
    ) -> None:
        self.kind, self.group = kind, group
        self._places = dict(entries)
        self._families = dict(families or {})
        self._of_family: dict[str, T] = {}
        self._loaded: dict[str, T] = {}

    @overload
    def register(self, name: str) -> Callable[[T], T]: ...
    @overload
    def register(self, name: str, entry: T) -> T: ...
    def register(self, name: str, entry: T | None = None) -> T | Callable[[T], T]:
        """Adds an entry, as a call or as a decorator: ``@METHODS.register("coral")``.

        Raises:
            UserError: the name is taken by a built-in entry, or by one that was registered elsewhere; or the entry is a
            class that lacks an abstract method.
        """
        if entry is None:
            return lambda given: self.register(name, given)
        _require_complete(f"{self.kind} {name!r}", entry)
        if self.is_built_in(name):
            raise UserError(f"{self.kind} {name!r} is built in: register yours under another name")
        before = self._loaded.get(name)
        if before is not None and _place(before) != _place(entry):
            raise UserError(f"{self.kind} {name!r} is registered by {_place(before)} and by {_place(entry)}")
        self._loaded[name] = entry
        return entry

    def lookup(self, name: str) -> T:
        """The entry with a name that a user gave.

        Raises:
            UserError: there is none (the message has the nearest names), or it can't be loaded.
        """
        if name not in self:
            raise unknown(self.kind, name, [*self, *self.patterns])
        return self[name]

    @property
    def patterns(self) -> list[str]:
        """The families as patterns, such as "timm:NAME"."""
        return [f"{family}:NAME" for family in self._families]

    def loaded(self) -> dict[str, T]:
        """All entries; those of other packages that can't be loaded are left out with a warning."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except UserError as error:
                warnings.warn(str(error), stacklevel=2)
        return found

    def digest(self, name: str) -> str | None:
        """A hash of the code of an entry; None for a built-in one, which the package's own hash covers."""
        files = code_files(self[name])
        if all(PACKAGE in file.parents for file in files):
            return None
        digest = hashlib.blake2b(digest_size=6)
        for file in files:
            digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()

    def is_built_in(self, name: str) -> bool:
        """Whether an entry is one of the package's own."""
        return name in self._places or self._is_of_family(name)

    def place(self, name: str) -> str:
        """The file, or else the module, in which an entry was defined."""
        return _place(self[name])

    def __getitem__(self, name: str) -> T:
        if self._is_of_family(name):
            if name not in self._of_family:
                self._of_family[name] = _at(self._families[name.partition(":")[0]])(name)
            return self._of_family[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, entry: T) -> None:
        self._loaded[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        known = name in self._loaded or name in self._places or name in installed(self.group)
        return known or (isinstance(name, str) and self._is_of_family(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._places, *self._loaded, *installed(self.group))))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _is_of_family(self, name: str) -> bool:
        family, colon, own = name.partition(":")
        return bool(colon and own) and family in self._families

    def _load(self, name: str) -> T:
        if name in self._places:
            ours: T = _at(self._places[name])
            return ours
        entry = installed(self.group)[name]
        try:
            theirs: T = entry.load()
        except Exception as error:  # another package can raise anything
            raise UserError(f"{self.kind} {name} ({entry.value}) can't be loaded: {_first_line(error)}") from None
        _require_complete(f"{self.kind} {name!r}", theirs)
        return theirs


def _at(place: str) -> Any:
    """Imports "module:attribute"."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


@cache
def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of installed packages in a group, by name; nothing is imported."""
    return {entry.name: entry for entry in sorted(entry_points(group=group), key=lambda e: e.name)}


@cache
def load_module(path: Path) -> ModuleType:
    """Imports a user's Python file, which may import modules next to it.

    Raises:
        UserError: there is no such file, or it raises an error.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    name = f"{path.stem}_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their own module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    require_own_modules(path)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file can raise anything
        del sys.modules[name]
        raise UserError(f"{path}{_line_of(error, path)}: {_first_line(error)}") from None
    return module


def load_plugin(path: Path) -> None:
    """Runs a user's plugin file, which registers its entries.

    Raises:
        UserError: there is no such file, or it raises an error.
    """
    try:
        load_module(path)
    except UserError as error:
        raise UserError(f"--plugin {error}") from None
    if path.resolve() not in _plugins:
        _plugins.append(path.resolve())


def loaded_plugins() -> list[Path]:
    """The files that :func:`load_plugin` has run, which other processes have to run too."""
    return list(_plugins)


_plugins: list[Path] = []


def _place(entry: Any) -> str:
    """The file, or else the module, in which an entry was defined; a file or notebook cell may be run again."""
    name = definition(entry).__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    return str(Path(file).resolve()) if file else str(name)


def in_plugin(error: BaseException) -> str:
    """The innermost line of a ``--plugin`` file that an error comes from, as " (mine.py, line 3)"; empty if none."""
    found = ""
    for one in (error, error.__cause__):
        for frame in traceback.extract_tb(one.__traceback__) if one else ():
            if Path(frame.filename).resolve() in _plugins:
                found = f" ({Path(frame.filename).name}, line {frame.lineno})"
    return found


def _require_complete(what: str, entry: Any) -> None:
    """Refuses a class that can't be instantiated."""
    if isclass(entry) and (lacking := sorted(getattr(entry, "__abstractmethods__", ()))):
        raise UserError(f"{what}: {entry.__name__} has no {', '.join(f'{name}()' for name in lacking)}: define it")


def _line_of(error: BaseException, path: Path) -> str:
    """The line of a file at which an error occurred, as ", line 3"; empty if unknown."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno))
    numbers = [number for file, number in places if Path(file).resolve() == path.resolve()]
    return f", line {numbers[-1]}" if numbers else ""


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
