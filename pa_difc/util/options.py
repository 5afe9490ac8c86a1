"""Options: frozen dataclasses whose fields declare their meaning, unit and range.

Settings and the options of every registered entry are made of these, so that one place checks values, parses them and
documents them.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from .errors import UserError
from .names import unknown
from .shapes import NUMBER

#: The largest number that float32 weights and updates can hold.
_MOST = 3.4e38

#: Larger whole numbers (seeds, epochs) would overflow 64 bits when they are multiplied.
MAX_WHOLE = 2**32 - 1

T = TypeVar("T", bound="Options")


def option(
    default: Any,
    about: str,
    *,
    unit: str = "",
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: Collection[str] | Callable[[], Collection[str]] | None = None,
    kind: str = "",
    folders: bool = False,
) -> Any:
    """Declares a field of :class:`Options`.

    Args:
        default: None means that the value follows from other options.
        about: the meaning, in half a line.
        unit: of the value, such as "logits" or "epochs".
        at_least, above, at_most, below: bounds of a number.
        choices: the valid words, or a function that returns them.
        kind: what the words name, for errors; the field's name if empty.
        folders: whether a path is valid too, see :func:`is_path`.
    """
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    found = {word: bound for word, bound in bounds.items() if bound is not None}
    return field(
        default=default,
        metadata={"about": about, "unit": unit, "bounds": found, "choices": choices, "kind": kind, "folders": folders},
    )


@dataclass(frozen=True)
class Options:
    """The base class of all options; checks every field made by :func:`option`.

    Raises:
        UserError: a value has the wrong type, is out of range, or not among its choices; or a value other than the
            default has no effect with the other values.
    """

    def __post_init__(self) -> None:
        known = describe(type(self))
        for name, about in known.items():
            about.check(getattr(self, name))
        for name, why in self.without_effect({name: getattr(self, name) for name in known}).items():
            if (value := getattr(self, name)) != known[name].default:
                raise idle(name, value, why)

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """The options that have no effect with these values, and why: ``{"teacher_decay": "teacher=student"}``.

        Args:
            values: of all options, each valid by itself.
        """
        return {}


@dataclass(frozen=True)
class About:
    """The declaration of an option."""

    name: str
    hint: Any  #: its type; ``X | None`` if None is allowed
    default: Any
    about: str
    unit: str
    bounds: Mapping[str, float]
    choices: Collection[str] | Callable[[], Collection[str]] | None
    kind: str
    folders: bool = False

    def check(self, value: Any) -> None:
        """Checks a value.

        Raises:
            UserError: the value is not valid.
        """
        if not _is_of(value, self.hint):
            raise UserError(f"{self.name}={shown(value)}: must be {_wanted(self.hint)}")
        if value is None:
            return
        if self.bounds and not (NUMBER.fits(value) and all(_within(value, *bound) for bound in self.bounds.items())):
            bounds = " and ".join(f"{word} {bound:g}" for word, bound in self.bounds.items())
            raise UserError(f"{self.name}={shown(value)}: must be a finite number {bounds}")
        if self.choices is not None:
            valid = self.choices() if callable(self.choices) else self.choices
            if value not in valid and not (self.folders and is_path(value)):
                refused = unknown(self.kind or self.name.replace("_", " "), value, valid)
                raise UserError(f"{refused}, or a folder: ./{value}") if self.folders else refused

    def _is_choice(self, word: str) -> bool:
        valid = self.choices() if callable(self.choices) else self.choices
        return valid is not None and word in valid

    def parse(self, text: str) -> Any:
        """Parses a value from text, such as a command line's; its range is checked when the options are made.

        Raises:
            UserError: the text is not a value of the option's type.
        """
        kinds = _kinds(self.hint)
        if text.lower() == "none" and type(None) in kinds and not self._is_choice("none"):
            return None
        kind = kinds[0]
        try:
            if kind is bool:
                return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            if typing.get_origin(kind) is tuple:
                item = typing.get_args(kind)[0]
                return tuple(item(part.strip()) for part in text.split(","))
            return kind(text)
        except (ValueError, KeyError):
            raise UserError(f"{self.name}={shown(text)}: must be {_wanted(self.hint)}") from None

    def read(self, value: Any) -> Any:
        """Converts a plain value from a file: the text "none" stands for None, and a list for a tuple."""
        kinds = _kinds(self.hint)
        if value == "none" and type(None) in kinds and kinds[0] is not str:
            return None
        return tuple(value) if isinstance(value, list) and typing.get_origin(kinds[0]) is tuple else value

    def __str__(self) -> str:
        """Default, unit, bounds and meaning, such as "0.3, logits, at least 0: the largest class margin"."""
        bounds = " and ".join(f"{word} {bound:g}" for word, bound in self.bounds.items())
        facts = ", ".join(filter(None, (str(self.default), self.unit, bounds)))
        return f"{facts}: {self.about}"


def describe(kind: type[Options]) -> dict[str, About]:
    """The declarations of a class's options, by name."""
    if kind not in _KNOWN:
        _KNOWN[kind] = _describe(kind)
    return _KNOWN[kind]


#: The cache of :func:`describe`, because reading type hints is slow.
_KNOWN: dict[type[Options], dict[str, About]] = {}


def _describe(kind: type[Options]) -> dict[str, About]:
    hints = typing.get_type_hints(kind)
    return {
        f.name: About(name=f.name, hint=hints[f.name], default=f.default, **f.metadata)
        for f in fields(kind)
        if "about" in f.metadata
    }


def make(kind: type[T], values: Mapping[str, Any], owner: str) -> T:
    """Makes options from plain values.

    Args:
        kind: the class.
        values: by name; the others have their defaults.
        owner: whose options they are, for errors, such as "method mdd".

    Raises:
        UserError: there is no such option, or a value is not valid.
    """
    known = describe(kind)
    for name in values:
        if name not in known:
            if not known:
                raise UserError(f"{owner} has no option {name!r}: it has none")
            raise unknown(f"option of {owner}", name, known)
    return kind(**{name: known[name].read(value) for name, value in values.items()})


def idle(name: str, value: Any, why: str) -> UserError:
    """The error for a value that has no effect."""
    said = f"{value:g}" if NUMBER.fits(value) else shown(value)
    return UserError(f"{name}={said} has no effect with {why}")


def is_path(value: Any) -> bool:
    """Whether a value is written as a path: it has a slash, so that a misspelt word is not taken for a path."""
    return isinstance(value, str) and ("/" in value or os.sep in value)


def shown(value: Any) -> str:
    """A value as quoted in errors; Python refuses to print integers with thousands of digits."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a whole number of that many digits"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _within(value: float, word: str, bound: float) -> bool:
    return {
        "at least": value >= bound,
        "above": value > bound,
        "at most": value <= bound,
        "below": value < bound,
    }[word]


def _kinds(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; an int is a valid float, but a bool is not a number."""
    kind = _kinds(hint)[0]
    if value is None:
        return type(None) in _kinds(hint)
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return isinstance(value, tuple) and all(NUMBER.fits(v) if item is float else type(v) is item for v in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is int:
        return isinstance(value, int) and abs(value) <= MAX_WHOLE
    if kind is float:
        return NUMBER.fits(value) and abs(value) <= _MOST
    return isinstance(value, kind)


def _wanted(hint: Any) -> str:
    kind = _kinds(hint)[0]
    if typing.get_origin(kind) is tuple:
        return "finite numbers with commas" if typing.get_args(kind)[0] is float else "words with commas"
    names = {bool: "true or false", int: f"a whole number of at most {MAX_WHOLE:,}", float: "a number", str: "text"}
    return names.get(kind, str(kind))
