"""Checks on a plugin's first step: repeated, it has the same losses; the loss is a mean, and every gradient is used."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from math import isclose
from typing import Any

import torch
from torch import Tensor, nn

from ..losses.spec import ClassificationLoss
from ..methods.checked import first_call
from ..methods.slot import LossSlot
from ..methods.tree import paths
from ..util.distributed import processes
from ..util.errors import UserError
from ..util.plugin_code import is_plugin_module
from .checkpoint import random_state, set_random_state

#: Relative tolerance of repeated losses; kernels on a GPU may sum in any order.
_CPU, _GPU = 1e-5, 1e-2
#: Relative tolerance of a sum over samples.
_SUM = 1e-4


class Repeated:
    """Repeats a step on a copy of the method, with the same random numbers; only for a plugin's code.

    Neither the method nor the random numbers of later steps are changed.

    Args:
        adapter: the method before the step.
    """

    def __init__(self, adapter: LossSlot) -> None:
        self._what = plugin_parts(adapter) if processes() == 1 else ""
        self._copy = _copied(adapter) if self._what else None
        self._random = random_state() if self._copy is not None else None

    def require_same(
        self,
        batch: Mapping[str, Any],
        losses: Mapping[str, float],
        flatten: Callable[..., Mapping[str, float]],
        require_unchanged: Callable[[], None],
    ) -> None:
        """Refuses a method or loss whose losses are others when the step is repeated, and a loss that is no mean.

        Args:
            batch: of the step.
            losses: of the step, by name.
            flatten: turns what a step returns into losses by name.
            require_unchanged: called first if a loss differs: state that copies share is the likelier reason.

        Raises:
            UserError: a loss differs, or see :func:`require_mean`.
        """
        if self._copy is None or self._random is None:
            return
        after = random_state()
        set_random_state(self._random)
        try:
            with first_call(self._copy) as called:
                again = flatten(self._copy.training_step(batch))
            if called and _is_plugins(self._copy.loss):
                require_mean(self._copy.loss, *called[0])
        except UserError:
            raise
        except Exception:  # a copy may not work
            return
        finally:
            set_random_state(after)
            self._copy = None
        tolerance = _CPU if torch.device(_device(batch)).type == "cpu" else _GPU
        for name, value in losses.items():
            if not isclose(value, again.get(name, value), rel_tol=tolerance, abs_tol=1e-7) and value == value:
                require_unchanged()
                raise UserError(
                    f"{self._what}: {name} is {value:.6g}, and {again[name]:.6g} when the first step is repeated: its "
                    "random numbers must come from torch's, NumPy's or Python's seeded generator (torch.rand(…)), and "
                    "it must not depend on time"
                )


def require_mean(loss: ClassificationLoss, logits: Tensor, labels: Tensor) -> None:
    """Refuses a loss that is the sum over a batch's samples: the whole is the sum of its halves, and twice is double.

    What depends on the batch in another way, as a contrastive loss may, passes; so does what can't be computed again.

    Args:
        loss: it is copied.
        logits: ``(N, K)``.
        labels: ``(N,)``.

    Raises:
        UserError: the loss is a sum.
    """
    half = len(labels) // 2
    parts = [(logits, labels), (logits[:half], labels[:half]), (logits[half:], labels[half:])]
    parts.append((torch.cat([logits, logits]), torch.cat([labels, labels])))
    try:
        whole, first, second, twice = (copy.deepcopy(loss)(*part).item() for part in parts)
    except Exception:  # a loss may need a batch of its usual size, or a gradient
        return
    if half and whole and isclose(twice, 2 * whole, rel_tol=_SUM) and isclose(first + second, whole, rel_tol=_SUM):
        raise UserError(
            f"the loss of the first batch is {whole:.6g}, and {twice:.6g} with each sample twice: must be the mean "
            "over the samples, not their sum"
        )


def require_optimised(adapter: LossSlot) -> None:
    """Refuses, after a step, a loss or a module of the method's state with weights that get a gradient, and no update.

    Raises:
        UserError: there are such weights.
    """
    known = {id(p) for one in adapter.optimizers.values() for group in one.param_groups for p in group["params"]}
    tops = {"the loss": adapter.loss, **{f"misc[{name!r}]": value for name, value in adapter.misc.items()}}
    for what, top in tops.items():
        for name, weight in top.named_parameters() if isinstance(top, nn.Module) else ():
            if weight.grad is not None and id(weight) not in known:
                raise UserError(
                    f"{what} has a parameter {name!r} ({type(top).__name__}) that no optimiser updates: make it a "
                    "buffer, or a parameter of one of the method's models"
                )


def plugin_parts(adapter: LossSlot) -> str:
    """The plugin's classes and functions that a method's step uses, for errors; empty if all code is the package's."""
    hooks = (path[-1] for path in paths(adapter.hook))
    modules = (module for top in adapter.models.values() for module in top.modules())
    found = {type(value).__name__: None for value in (adapter, *hooks, *modules) if _is_plugins(value)}
    if _is_plugins(adapter.loss):
        found["the loss"] = None
    return " or ".join(found)


def _is_plugins(value: Any) -> bool:
    return any(is_plugin_module(name) for name in {str(kind.__module__) for kind in _definitions(value)})


def _definitions(value: Any) -> Iterator[Any]:
    function = getattr(value, "func", value)  # of a partial
    if hasattr(function, "__qualname__"):
        yield function
    yield from type(value).__mro__


def _copied(adapter: LossSlot) -> LossSlot | None:
    try:
        return copy.deepcopy(adapter)
    except Exception:  # not everything can be copied, such as compiled modules
        return None


def _device(batch: Mapping[str, Any]) -> torch.device:
    devices = (value.device for value in batch.values() if hasattr(value, "device"))
    return next((device for device in devices if device.type != "cpu"), torch.device("cpu"))
