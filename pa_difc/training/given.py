"""The settings that a user gave: a settings file, flags, ``--set key=value``; later ones win, none is given twice.

A grid trains several methods and losses, so an option may belong to only some of them: each cell takes its own, and an
option that no cell takes is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..methods import METHODS
from ..util.errors import UserError
from ..util.options import About, describe, idle
from .groups import ENTRIES
from .keys import CELL_KEYS, entry_options, find_key, fixed_keys
from .resolve import resolve
from .settings import Settings


@dataclass(frozen=True)
class Given:
    """A value as given, and where it was given."""

    value: Any
    where: str  #: for errors, "--epochs"
    is_text: bool = False  #: whether it is text still to be parsed


@dataclass(frozen=True)
class Cells:
    """The methods, losses and seeds of a grid, and its backbone."""

    methods: Sequence[str]
    losses: Sequence[str]
    seeds: Sequence[int]
    backbone: str

    @property
    def named(self) -> dict[str, Sequence[str]]:
        """The entries whose options keys can refer to, by group."""
        return {"method": self.methods, "loss": self.losses, "model": [self.backbone]}


def read_assignments(words: Sequence[str]) -> list[tuple[str, Given]]:
    """Reads the keys and values of ``--set key=value``.

    Raises:
        UserError: a word is not of this form.
    """
    found = []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"--set {word!r}: must be key=value")
        found.append((key.strip(), Given(text.strip(), f"--set {key.strip()}", is_text=True)))
    return found


def first_value(key: str, pairs: Iterable[tuple[str, Given]]) -> Any:
    """The value of a key that determines which options exist, before short keys can be resolved; None if not given.

    Raises:
        UserError: the value is not valid.
    """
    group, _, name = key.partition(".")
    spellings = (key, group if name == "name" else name)
    found = next((given for spelling, given in pairs if spelling in spellings), None)
    return None if found is None else value_of(fixed_keys()[key], found)


def whole_keys(pairs: Iterable[tuple[str, Given]], cells: Cells) -> dict[str, Given]:
    """Resolves keys to whole ones.

    Raises:
        UserError: there is no such key, or it is given twice.
    """
    found: dict[str, Given] = {}
    for key, given in pairs:
        try:
            whole = find_key(key, cells.named)
        except UserError as error:
            raise UserError(f"{given.where}: {error}") from None
        if whole in found:
            raise UserError(f"{whole} is given twice: by {found[whole].where} and by {given.where}")
        found[whole] = given
    return found


def refuse_cell_keys(found: Mapping[str, Given]) -> None:
    """Refuses method, loss and seed, which have flags of their own.

    Raises:
        UserError: one of them was given.
    """
    for key in CELL_KEYS:
        if key in found:
            raise UserError(f"{found[key].where}: set by {CELL_KEYS[key]} for each run")


def refuse_idle_training(found: Mapping[str, Given], cells: Cells) -> None:
    """Refuses settings of training and of products if no cell trains anything.

    Raises:
        UserError: one was given.
    """
    if any(METHODS.lookup(method).trains for method in cells.methods):
        return
    for key, given in found.items():
        if key.startswith("optimiser.") or key in ("eval.product", "eval.product_power"):
            raise UserError(f"{given.where}: has no effect: {', '.join(cells.methods)} trains nothing")


class Use:
    """Tracks which given options have an effect in some cell, and refuses those that have none in any."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._idle: dict[str, UserError] = {}

    def take(self, key: str) -> None:
        """Notes an option that a cell takes."""
        self._used.add(key)

    def leave(self, key: str, why: UserError) -> None:
        """Notes an option that would have no effect in a cell."""
        self._idle.setdefault(key, why)

    def require(self, keys: Iterable[str]) -> None:
        """Refuses options that no cell takes.

        Raises:
            UserError: there is one.
        """
        for key in keys:
            if key in self._idle and key not in self._used:
                raise self._idle[key]


def cell_settings(given: Mapping[str, Given], cells: Cells, use: Use | None = None) -> list[Settings]:
    """The resolved settings of every cell: methods × losses × seeds, but one cell for a method without training.

    An option without effect in a cell, such as a teacher's decay without a teacher, is left out there.

    Args:
        given: values by whole key.
        cells: the grid.
        use: tracks options for a caller with further cells; None: options that no cell takes are refused here.

    Raises:
        UserError: a value is not valid.
    """
    fixed = fixed_keys()
    base = Settings.of(**{key: value_of(fixed[key], one) for key, one in given.items() if key in fixed})
    options = {key: one for key, one in given.items() if key not in fixed}
    made, noted = [], use or Use()
    for method, loss, seed in _kinds(cells):
        cell = base.but(**{"method.name": method, "loss.name": loss, "run.seed": seed})
        made.append(resolve(cell.but(**_own_options(cell, options, noted))))
    if use is None:
        noted.require(options)
    return made


def _kinds(cells: Cells) -> Iterator[tuple[str, str, int]]:
    """Method, loss and seed of every cell, without losses and seeds that have no effect."""
    for method in cells.methods:
        entry = METHODS.lookup(method)
        losses = cells.losses if entry.uses_source and entry.trains else ["ce"]
        yield from product([method], losses, cells.seeds if entry.trains else cells.seeds[:1])


def _own_options(cell: Settings, options: Mapping[str, Given], use: Use) -> dict[str, Any]:
    """The given options that belong to a cell's entries and have an effect there."""
    found: dict[str, Any] = {}
    for group, field in ENTRIES.items():
        kind = entry_options(group, getattr(getattr(cell, group), field))
        known = describe(kind)
        own = {
            name: value_of(known[name], options[f"{group}.{name}"]) for name in known if f"{group}.{name}" in options
        }
        unused = kind.without_effect({name: about.default for name, about in known.items()} | own)
        for name, value in own.items():
            if name in unused and value != known[name].default:
                use.leave(f"{group}.{name}", idle(name, value, unused[name]))
                continue
            use.take(f"{group}.{name}")
            found[f"{group}.{name}"] = value
    return found


def value_of(about: About, given: Given) -> Any:
    """Parses and checks a given value."""
    try:
        value = about.parse(given.value) if given.is_text else about.read(given.value)
        about.check(value)
    except UserError as error:
        raise UserError(f"{given.where}: {error}") from None
    return value
