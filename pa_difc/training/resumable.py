"""Checks that checkpoints include all state of a method and its loss, so that resuming is exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from ..methods.slot import LossSlot
from ..util.errors import UserError
from .digests import changed
from .hidden import OF_EVERY_MODULE, Hidden

_UNKNOWN = "a lazy module's unknown shape"
#: How modules load their state; another way may change shapes.
_USUAL = (nn.Module._load_from_state_dict, nn.BatchNorm1d._load_from_state_dict)
#: Where the state of a plugin's objects belongs.
_HOMES = "of the method's models, of a module that method_state() returns, or of a loss with update()"
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
        self._lazy = {id(m) for m in _all_modules(adapter) if isinstance(m, LazyModuleMixin)}
        self._before = self._now()
        self._hidden = self._hidden_now()
        self._forms = _forms(adapter)

    def renew(self) -> None:
        """Takes the state of a plugin's objects as it is now, after a caller's own function may have changed some."""
        self._hidden = self._hidden_now()

    def require_unchanged(self) -> None:
        """Refuses a method or loss that its next checkpoint would not restore.

        Raises:
            UserError: state outside checkpoints has changed, or state in them has a new shape or type, which a new
                method of the same kind could not load.
        """
        forms = _forms(self._adapter)
        for name in {**self._forms, **forms}:
            before, after = self._forms.get(name, "nothing"), forms.get(name, "nothing")
            if before not in (after, _UNKNOWN):
                raise UserError(
                    f"{name} changes from {before} to {after} in training, and a killed run could not be resumed: "
                    "give it its last shape and type at the start"
                )
        if own := changed(self._before, self._now()):
            raise UserError(
                f"{own[0]} changes in training and would be lost when a run is resumed: make it a persistent buffer of "
                "a module that method_state() returns, or of a loss with update()"
            )
        if hidden := changed(self._hidden, self._hidden_now()):
            raise UserError(
                f"{hidden[1]} changes in training and would be lost when a run is resumed: make it a persistent buffer "
                + _HOMES
            )

    def _hidden_now(self) -> dict[tuple[str, str], str]:
        """State of a plugin's objects, classes, functions and modules that no checkpoint includes.

        Raises:
            UserError: whether some of it changes can't be told.
        """
        adapter = self._adapter
        kept = {f"models.{name}": value for name, value in adapter.models.items()}
        kept |= {f"misc.{name}": value for name, value in adapter.misc.items()}
        saved = [module for top in kept.values() if isinstance(top, nn.Module) for module in top.modules()]
        containers = (adapter.models, adapter.optimizers, adapter.lr_schedulers, adapter.misc)
        skipped = [*containers, *adapter.optimizers.values(), *adapter.lr_schedulers.values()]
        hidden = Hidden(saved, self._lazy, skipped)
        for path, value in {
            "method": adapter,
            **kept,
            "loss": adapter.loss,
            "hook": getattr(adapter, "hook", None),
        }.items():
            hidden.walk(value, path)
        for name, kind in hidden.unreadable.items():
            raise UserError(
                f"{name} is a {kind}, which a resumed run would start from the beginning: keep its position in a "
                f"persistent buffer {_HOMES}"
            )
        return hidden.found

    def _now(self) -> dict[tuple[str, int], str]:
        """Values by name and number, as several modules may have the same class."""
        found: dict[tuple[str, int], str] = {}
        number: dict[str, int] = defaultdict(int)
        for name, value in _unsaved(self._adapter, self._lazy):
            found[name, number[name]] = value
            number[name] += 1
        return found


def _forms(adapter: LossSlot) -> dict[str, str]:
    """Shape and type of all tensors in checkpoints, by container and name, as in ``models.G.layer.weight``.

    Those of modules that load in a way of their own are left out.
    """
    found: dict[str, str] = {}
    for container, tops in (("models", adapter.models), ("misc", adapter.misc)):
        for key, top in tops.items():
            for prefix, module in top.named_modules() if isinstance(top, nn.Module) else ():
                where = ".".join(filter(None, (container, key, prefix)))
                found |= {f"{where}.{name}": _form(value) for name, value in _tensors(module)}
    return found


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    own_way = type(module)._load_from_state_dict not in _USUAL or module._load_state_dict_pre_hooks
    if not own_way or isinstance(module, LazyModuleMixin):
        for name, value in {**module._parameters, **module._buffers}.items():
            if value is not None and name not in module._non_persistent_buffers_set:
                yield name, value


def _form(value: Tensor) -> str:
    return _UNKNOWN if is_lazy(value) else f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"


def _all_modules(adapter: LossSlot) -> Iterator[nn.Module]:
    for value in (*adapter.models.values(), *adapter.misc.values(), adapter.loss):
        if isinstance(value, nn.Module):
            yield from value.modules()


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
    own = {name: value for name, value in vars(module).items() if name not in OF_EVERY_MODULE}
    for name, value in {**own, **transient}.items():
        if isinstance(value, (*_PLAIN, Tensor)):
            yield f"{type(module).__name__}.{name}", _text(value)


def _text(value: Any) -> str:
    """A value as full text, for comparison; torch abbreviates its own."""
    return repr(value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value)
