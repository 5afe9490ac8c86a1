"""What changes in a library's object as it is used: random generators, iterators, files, optimisers, estimators."""

from __future__ import annotations

import csv
import inspect
import io
import queue
import random
import sys
import warnings
from array import array
from collections import ChainMap, UserDict, UserList
from collections.abc import AsyncIterator, Coroutine, Iterator
from types import AsyncGeneratorType, BuiltinMethodType, CoroutineType, GeneratorType, MethodWrapperType
from typing import Any

import numpy as np
import torch

from .digests import GENERATORS, state_of

_CONTAINERS = (UserDict, UserList, ChainMap, queue.Queue)
#: Random generators that every checkpoint includes.
_SAVED = (getattr(random, "_inst", None), getattr(np.random.mtrand, "_rand", None), torch.default_generator)
_CSV = type(csv.reader([]))


class Unreadable(Exception):
    """Whether an object changes can't be told."""


def contents(value: Any) -> Any:
    """What changes in an object of a library as it is used, as plain values or other objects; None if nothing may.

    Raises:
        Unreadable: that can't be read, as of a generator that has started.
    """
    if isinstance(value, GENERATORS):
        return _of_random(value)
    if isinstance(value, (BuiltinMethodType, MethodWrapperType)):
        return None if any(value.__self__ is one for one in _SAVED) else [value.__self__]
    if isinstance(value, io.IOBase):
        return _position(value)
    if isinstance(value, (Iterator, AsyncIterator, Coroutine)):
        return _of_iterator(value)
    if isinstance(value, (bytearray, array)):
        return bytes(value)
    if isinstance(value, (np.random.BitGenerator, np.random.SeedSequence)):
        return repr(value.state)
    if not hasattr(value, "__dict__") or isinstance(value, type):
        return None
    return _of_attributes(value)


def _of_random(value: Any) -> Any:
    if any(value is one for one in _SAVED):
        return None
    try:
        return repr(state_of(value))
    except NotImplementedError:  # random.SystemRandom
        raise Unreadable from None


def _of_iterator(value: Any) -> Any:
    """The state of a generator, or how a copy of an iterator would be made: neither moves it."""
    if isinstance(value, AsyncGeneratorType):
        return _readable("SUSPENDED" if value.ag_frame else "CLOSED")
    if isinstance(value, GeneratorType):
        return _readable(inspect.getgeneratorstate(value))
    if isinstance(value, CoroutineType):
        return _readable(inspect.getcoroutinestate(value))
    if isinstance(value, _CSV):
        return value.line_num
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 and 3.13: 3.14 can't copy the iterators of itertools
            made = value.__reduce_ex__(2)
    except Exception:
        raise Unreadable from None
    return list(made[1:3])


def _readable(state: str) -> str:
    if state.endswith(("RUNNING", "SUSPENDED")):  # where it is in a loop, its variables need not show
        raise Unreadable
    return state


def _position(value: io.IOBase) -> Any:
    """Where a file will be read next; None if it is only written."""
    if any(value is one for one in (sys.stdin, sys.stdout, sys.stderr)):
        return None
    try:
        return None if value.closed or not value.readable() else value.tell()
    except (OSError, ValueError):  # a pipe, or a text file in a loop over its lines
        raise Unreadable from None


def _of_attributes(value: Any) -> Any:
    kind, attributes = type(value), dict(vars(value))
    if callable(getattr(kind, "state_dict", None)):  # optimisers, schedules of learning rates
        try:
            return value.state_dict()
        except Exception:
            raise Unreadable from None
    learns = hasattr(kind, "fit") and hasattr(kind, "get_params")  # scikit-learn's
    if isinstance(value, _CONTAINERS) or learns or "num_generated" in attributes:  # quasi-random numbers
        return attributes
    return [held for held in attributes.values() if isinstance(held, GENERATORS)] or None  # as a DataLoader's
