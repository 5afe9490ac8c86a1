"""pytorch-adapt's hooks without the checks of their keys, once a step has passed them.

Every hook of pytorch-adapt compares the keys that it takes and gives with those that it declares, at each call, and
asks its children for theirs: a tenth of a millisecond to some a step. What is compared does not depend on the values in
a batch, so a step like the one before passes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._host import BaseHook
from .tree import paths

# Host: hooks/base.py:146, hooks/utils.py:109 and hooks/features.py:88. They raise or do nothing.
_CHECKS = ("check_losses_and_outputs", "check_overwrite", "check_outputs_requires_grad")


@contextmanager
def unchecked(root: BaseHook) -> Iterator[None]:
    """Within it, a hook and all hooks in it compute the same to the bit, and compare no keys.

    Only the checks of these objects are put aside, as attributes of theirs; pytorch-adapt's classes stay as they are,
    and afterwards so are the objects.
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
