"""Finds state of a plugin's code that no checkpoint includes: helper objects, hooks, classes, functions, globals."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..methods._host import BaseHook
from ..util.plugin_code import is_plugin_module
from .digests import digest_of_array, hash_of
from .opaque import Unreadable, contents

#: Attributes of every module; others were added by its class.
OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_SCALARS = (bool, int, float, complex, str, bytes, type(None), np.generic, itertools.count)
_LISTS = (list, tuple, deque)
_FUNCTIONS = (FunctionType, MethodType, partial)
#: At most so many objects are looked at.
_MOST_OBJECTS = 100_000


class Hidden:
    """The hidden state that can be reached from some objects, as digests.

    Only objects of users' and plugins' classes are looked into, with their classes, functions and modules; so are
    containers, and the nested hooks and modules of libraries.

    Args:
        saved: modules whose parameters, buffers and extra state checkpoints include.
        lazy: ids of modules that learn their shape in the first step; their attributes are not looked at.
        skipped: objects that are not looked into.

    Attributes:
        found: digests by the path and the name of each attribute, such as ``("method.bank", "Bank.rows")``.
        unreadable: names of attributes with an object whose changes can't be told, such as a generator, and its type.
    """

    def __init__(
        self, saved: Iterable[nn.Module] = (), lazy: Collection[int] = (), skipped: Iterable[object] = ()
    ) -> None:
        self.found: dict[tuple[str, str], str] = {}
        self.unreadable: dict[str, str] = {}
        self._name = ""  # of the attribute that is looked at
        self._saved, self._lazy = {id(module) for module in saved}, lazy
        self._seen = {id(value) for value in skipped}
        self._alive: list[object] = []  # an id is unique among these only
        self._within: set[int] = set()
        self._plugins: dict[str, bool] = {}

    def walk(self, value: Any, path: str) -> None:
        """Adds the state of an object and of all that it refers to."""
        if id(value) in self._seen or len(self._seen) > _MOST_OBJECTS:
            return
        if isinstance(value, nn.Module):
            self._once(value, path, self._module)
        elif isinstance(value, _FUNCTIONS):
            self._once(value, path, self._function)
        elif self._has_attributes(value):
            self._once(value, path, self._object)

    def walk_module(self, name: str) -> None:
        """Adds the globals of a user's module."""
        module = sys.modules.get(name)
        if module is None or id(module) in self._seen or not self._is_plugins(name):
            return
        self._seen.add(id(module))
        for key, value in list(vars(module).items()):
            if isinstance(value, ModuleType):
                self.walk_module(value.__name__)
            elif isinstance(value, type):
                self._class(value)
            elif not key.startswith("__"):
                self._entry(name, f"the global {key} of {Path(str(module.__file__)).name}", value)

    def _once(self, value: Any, path: str, walk: Callable[[Any, str], None]) -> None:
        self._seen.add(id(value))
        self._alive.append(value)
        walk(value, path)

    def _object(self, value: Any, path: str) -> None:
        kind, is_plugins = type(value), self._is_of_plugin(type(value))
        self._class(kind)
        slots = [name for base in kind.__mro__ for name in _as_tuple(getattr(base, "__slots__", ()))]
        attributes = {name: getattr(value, name) for name in slots if hasattr(value, name)} | _vars(value)
        for name, attribute in attributes.items():
            if is_plugins or isinstance(value, SimpleNamespace):
                self._entry(path, f"{kind.__name__}.{name}", attribute)
            else:  # a library's hook may cache its last results
                self._token(attribute, f"{path}.{name}")
        if isinstance(value, (dict, list, set, deque)):
            self._entry(path, f"{kind.__name__}'s items", _plain(value))

    def _module(self, value: nn.Module, path: str) -> None:
        kind, saved = type(value), id(value) in self._saved
        self._class(kind)
        own_state = saved and kind.get_extra_state is not nn.Module.get_extra_state
        if self._is_of_plugin(kind) and not own_state and id(value) not in self._lazy:
            for name, attribute in _vars(value).items():
                if name not in OF_EVERY_MODULE:
                    self._entry(path, f"{kind.__name__}.{name}", attribute)
        transient = value._non_persistent_buffers_set
        for name, tensor in {**value._parameters, **value._buffers}.items():
            hidden = not saved or (name in transient and self._is_of_plugin(kind))
            if tensor is not None and hidden and not is_lazy(tensor):
                self._entry(path, f"{kind.__name__}.{name}", tensor)
        for name, child in value._modules.items():
            self.walk(child, f"{path}.{name}")

    def _function(self, value: Any, path: str) -> None:
        if isinstance(value, MethodType):
            self._entry(f"{path}.self", f"the object of {value.__func__.__qualname__}()", value.__self__)
            self.walk(value.__func__, path)
        elif isinstance(value, partial):
            name = getattr(value.func, "__qualname__", type(value.func).__name__)
            self._entry(path, f"an argument of {name}()", [value.func, value.args, value.keywords])
        elif self._is_plugins(value.__module__):
            self.walk_module(value.__module__)
            name = value.__qualname__.replace("<locals>.", "")
            if parameters := [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]:
                place = f"{value.__module__}:{value.__code__.co_firstlineno}"
                self._entry(place, f"a default argument of {name}()", parameters)
            for key, attribute in vars(value).items():
                self._entry(path, f"{name}.{key}", attribute)
            for key, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
                try:
                    self._entry(path, f"{name}.{key}", cell.cell_contents)
                except ValueError:  # an empty cell
                    continue

    def _class(self, kind: type) -> None:
        for base in kind.__mro__:
            if id(base) in self._seen or not self._is_plugins(base.__module__):
                continue
            self._seen.add(id(base))
            self.walk_module(base.__module__)
            for name, value in list(vars(base).items()):
                value = getattr(value, "__func__", getattr(value, "fget", value))  # static, class methods, properties
                if not name.startswith("__") or isinstance(value, FunctionType):
                    self._entry(f"class {base.__module__}.{base.__qualname__}", f"{base.__name__}.{name}", value)

    def _entry(self, path: str, name: str, value: Any) -> None:
        if name.endswith("._abc_impl"):
            return
        outer, self._name = self._name, name
        if token := self._token(value, f"{path}.{name}"):
            self.found[path, name] = token
        self._name = outer

    def _token(self, value: Any, path: str) -> str:
        """A digest of plain values, arrays and containers; empty for other objects, which are looked into."""
        if isinstance(value, _SCALARS):
            return hash_of(repr(value))
        if isinstance(value, (Tensor, np.ndarray)):
            return digest_of_array(value)
        if type(value) in _LISTS or (isinstance(value, _LISTS) and not self._is_of_plugin(type(value))):
            return self._of_items(enumerate(value), value, path)
        if isinstance(value, (set, frozenset)):
            return hash_of("".join(sorted(self._token(item, path) or repr(type(item)) for item in value)))
        if isinstance(value, dict) and not self._is_of_plugin(type(value)):
            return self._of_items(((repr(key), item) for key, item in value.items()), value, path)
        if isinstance(value, (nn.Module, *_FUNCTIONS)) or self._has_attributes(value):
            self.walk(value, path)
            return ""
        return self._of_library(value, path)

    def _of_library(self, value: Any, path: str) -> str:
        if id(value) in self._seen or id(value) in self._within:
            return ""
        self._within.add(id(value))
        try:
            inside = contents(value)
            return "" if inside is None else hash_of(self._token(inside, path))
        except Unreadable:
            self.unreadable[self._name or path] = type(value).__name__
            return ""
        finally:
            self._within.remove(id(value))

    def _of_items(self, items: Iterable[tuple[Any, Any]], value: Any, path: str) -> str:
        if id(value) in self._within:  # it contains itself
            return "itself"
        self._within.add(id(value))
        first = itertools.islice(items, _MOST_OBJECTS)
        found = "".join(f"{key}:{self._token(item, f'{path}[{key}]')};" for key, item in first)
        self._within.remove(id(value))
        return hash_of(f"{type(value).__name__} of {len(value)}: {found}")

    def _has_attributes(self, value: Any) -> bool:
        """Whether an object's attributes are looked into."""
        return isinstance(value, (BaseHook, SimpleNamespace)) or self._is_of_plugin(type(value))

    def _is_of_plugin(self, kind: type) -> bool:
        """Whether a class or one of its bases is a plugin's: one that type() makes may name another module."""
        return any(self._is_plugins(base.__module__) for base in kind.__mro__)

    def _is_plugins(self, module: Any) -> bool:
        name = module if isinstance(module, str) else ""  # that of Cython's function type is a descriptor
        if name not in self._plugins:
            self._plugins[name] = is_plugin_module(name)
        return self._plugins[name]


def _vars(value: Any) -> dict[str, Any]:
    return dict(vars(value)) if hasattr(value, "__dict__") else {}


def _as_tuple(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else list(value)
