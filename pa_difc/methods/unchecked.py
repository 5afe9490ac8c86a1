"""Switches off the key checks of pytorch-adapt's hooks once a step has passed them.

At each call, every hook of pytorch-adapt compares its input and output keys with those that it and its children
declare, which takes from a tenth of a millisecond to a few per step. The comparison doesn't depend on the values in a
batch, so a step with the same keys passes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._host import BaseHook
from .tree import paths

# hooks/base.py:132, hooks/utils.py:124 and hooks/features.py:94. They raise or do nothing.
_CHECKS = ("check_losses_and_outputs", "check_overwrite", "check_outputs_requires_grad")


@contextmanager
def unchecked(root: BaseHook) -> Iterator[None]:
    """Inside the block, a hook and all hooks nested in it skip their key checks; results are the same bit for bit.

    Only these objects are changed, by instance attributes that are removed afterwards; pytorch-adapt's classes are not.
    """
    quiet = [(hook, name) for hook in _each(root) for name in _CHECKS if hasattr(hook, name) and name not in vars(hook)]
    for hook, name in quiet:
        setattr(hook, name, _pass)
    try:
        yield
    finally:
        for hook, name in quiet:
            delattr(hook, name)


def _each(root: BaseHook) -> list[BaseHook]:
    return list({id(path[-1]): path[-1] for path in paths(root)}.values())


def _pass(*_: Any) -> None:
    """Checks nothing."""
