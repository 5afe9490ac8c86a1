"""Calls the work of pytorch-adapt's hooks directly once a step has passed their checks.

At each call, every hook of pytorch-adapt compares its input and output keys with those that it and its children
declare, maps and renames keys, and notes what it does for an error's message; this takes from a tenth of a millisecond
to a few per step. The comparison doesn't depend on the values in a batch, so a step with the same keys passes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from ._host import BaseHook
from .tree import paths

# hooks/base.py:132, hooks/utils.py:124 and hooks/features.py:94. They raise or do nothing.
_CHECKS = ("check_losses_and_outputs", "check_overwrite", "check_outputs_requires_grad")

# hooks/base.py:14. A hook without these has nothing to map or rename.
_RENAMES = ("key_map", "loss_prefix", "loss_suffix", "out_prefix", "out_suffix")


@contextmanager
def unchecked(root: BaseHook) -> Iterator[None]:
    """Inside the block, a hook and all hooks nested in it only do their work; results are the same bit for bit.

    Only these objects are changed, and changed back afterwards; pytorch-adapt's classes are not. An error inside the
    block is the hook's own, without pytorch-adapt's list of the hooks that led to it.
    """
    hooks = _each(root)
    direct = [(hook, type(hook), hook.logger) for hook in hooks if _only_calls(hook)]
    quiet = [(hook, name) for hook in hooks for name in _CHECKS if hasattr(hook, name) and name not in vars(hook)]
    for hook, name in quiet:
        setattr(hook, name, _pass)
    try:
        for hook, kind, _ in direct:
            with suppress(TypeError):  # a class with slots stays as it is
                hook.__class__ = _direct(kind)  # type: ignore[arg-type]  # a class can be a key
                hook.logger = _Silent()
        yield
    finally:
        for hook, kind, logger in direct:
            hook.__class__, hook.logger = kind, logger
        for hook, name in quiet:
            delattr(hook, name)


def _each(root: BaseHook) -> list[BaseHook]:
    return list({id(path[-1]): path[-1] for path in paths(root)}.values())


def _only_calls(hook: BaseHook) -> bool:
    """Whether a call of a hook is its ``call``, apart from checks that are pytorch-adapt's own."""
    return (
        type(hook).__call__ is BaseHook.__call__
        and "check_losses_and_outputs" not in vars(hook)
        and not any(getattr(hook, name) for name in _RENAMES)
    )


@cache
def _direct(kind: type[BaseHook]) -> type[BaseHook]:
    """A hook's class without what surrounds its work."""

    def __call__(self: BaseHook, inputs: dict[str, Any], losses: dict[str, Any] | None = None) -> Any:
        return self.call(inputs.copy(), {} if losses is None else losses)

    return type(kind.__name__, (kind,), {"__call__": __call__, "__module__": kind.__module__})


class _Silent:
    """In place of a hook's logger, whose notes only show in errors; false, so that pytorch-adapt makes none."""

    str = ""

    def __bool__(self) -> bool:
        return False

    def __call__(self, *_: Any) -> None:
        pass

    def reset(self) -> None:
        pass


def _pass(*_: Any) -> None:
    """Checks nothing."""
