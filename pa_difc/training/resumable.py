"""Checks that checkpoints include all state of a method and its loss, so that resuming is exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from ..methods.slot import LossSlot
from ..util.errors import UserError

#: Attributes of every module; others were added by its class.
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, str, list, tuple, dict, set, np.ndarray, np.generic)


def require_resumable(adapter: LossSlot) -> None:
    """Refuses, before the first step, a method with a module that checkpoints would not include.

    Raises:
        UserError: the method has a module that is neither among its models nor in ``method_state()``.
    """
    kept = [*adapter.models.values(), *adapter.misc.values(), adapter.loss, getattr(adapter, "hook", None)]
    for name, value in vars(adapter).items():
        if isinstance(value, nn.Module) and value.state_dict() and not any(value is other for other in kept):
            raise UserError(
                f"{type(adapter).__name__}.{name} would be lost when a run is resumed: return it from method_state()"
            )


class Unsaved:
    """The state of a method, its loss and their modules outside checkpoints, as it is before training.

    Args:
        adapter: the method.
    """

    def __init__(self, adapter: LossSlot) -> None:
        self._adapter = adapter
        # A lazy module learns its shape in the first step, which checkpoints include.
        self._lazy = {id(m) for m in _modules(adapter) if isinstance(m, LazyModuleMixin)}
        self._before = self._now()

    def require_unchanged(self) -> None:
        """Refuses a method or loss whose state outside checkpoints has changed in training.

        Raises:
            UserError: an attribute has changed.
        """
        for key, value in self._now().items():
            if self._before.get(key) != value:
                raise UserError(
                    f"{key[0]} changes in training and would be lost when a run is resumed: make it a buffer of a "
                    "module that method_state() returns, or of a loss with update()"
                )

    def _now(self) -> dict[tuple[str, int], str]:
        """Values by name and number, as several modules may have the same class."""
        found: dict[tuple[str, int], str] = {}
        number: dict[str, int] = defaultdict(int)
        for name, value in _unsaved(self._adapter, self._lazy):
            found[name, number[name]] = value
            number[name] += 1
        return found


def _modules(adapter: LossSlot) -> list[nn.Module]:
    saved = [value for value in adapter.misc.values() if isinstance(value, nn.Module)]
    tops = [adapter.loss, *saved]
    return list({id(m): m for top in tops if isinstance(top, nn.Module) for m in _own(top)}.values())


def _unsaved(adapter: LossSlot, lazy: set[int]) -> Iterator[tuple[str, str]]:
    """Names and values of state that checkpoints don't include."""
    saved = [value for value in adapter.misc.values() if isinstance(value, nn.Module)]
    for name, value in vars(adapter).items():
        if isinstance(value, (*_PLAIN, Tensor)):
            yield f"{type(adapter).__name__}.{name}", _text(value)
    loss = adapter.loss
    if isinstance(loss, nn.Module) and not any(loss is other for other in saved):
        yield from ((f"{type(loss).__name__}.{name}", _text(value)) for name, value in loss.state_dict().items())
    if not isinstance(loss, nn.Module) and not hasattr(loss, "state_dict"):
        yield from _of_object(loss)
    for module in _modules(adapter):
        if type(module).get_extra_state is nn.Module.get_extra_state and id(module) not in lazy:
            yield from _attributes(module)


def _of_object(value: Any) -> Iterator[tuple[str, str]]:
    """State of a loss that is not a module: attributes of an object, or variables that a function closes over."""
    name = getattr(value, "__qualname__", type(value).__name__)
    kept = dict(vars(value)) if hasattr(value, "__dict__") else {}
    variables = getattr(getattr(value, "__code__", None), "co_freevars", ())
    for variable, cell in zip(variables, getattr(value, "__closure__", None) or (), strict=False):
        with suppress(ValueError):  # an empty cell
            kept[variable] = cell.cell_contents
    yield from ((f"{name}.{k}", _text(v)) for k, v in kept.items() if isinstance(v, (*_PLAIN, Tensor)))


def _own(top: nn.Module) -> list[nn.Module]:
    """A module and its submodules of the same package; those of other libraries may cache their last results."""
    package = type(top).__module__.partition(".")[0]
    return [module for module in top.modules() if type(module).__module__.partition(".")[0] == package]


def _attributes(module: nn.Module) -> Iterator[tuple[str, str]]:
    transient = {name: module._buffers[name] for name in module._non_persistent_buffers_set}
    own = {name: value for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
    for name, value in {**own, **transient}.items():
        if isinstance(value, (*_PLAIN, Tensor)):
            yield f"{type(module).__name__}.{name}", _text(value)


def _text(value: Any) -> str:
    """A value as full text, for comparison; torch abbreviates its own."""
    return repr(value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value)
