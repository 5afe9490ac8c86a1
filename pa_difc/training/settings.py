"""All settings of a run, and changing them by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .groups import (
    ENTRIES,
    GROUPS,
    DataSettings,
    EvalSettings,
    LossSettings,
    MethodSettings,
    ModelSettings,
    OptimiserSettings,
    RunSettings,
)
from .keys import find_key, short_keys


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Raises:
        UserError: a value is out of range, or a method, a loss or a backbone is unknown.
    """

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    method: MethodSettings = field(default_factory=MethodSettings)
    run: RunSettings = field(default_factory=RunSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    #: Keys that :func:`.resolve.resolve` has filled in; they are filled in again when other settings change.
    follows: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """The defaults with some values changed; see :meth:`but`."""
        return cls().but(**values)

    def but(self, **values: Any) -> Settings:
        """These settings with some values changed.

        Args:
            **values: by key, whole ("run.epochs") or short ("epochs"); see :func:`find_key`. Another method, loss or
                backbone starts with its own default options.

        Raises:
            UserError: there is no such key, or a value is not valid.
        """
        whole = {find_key(key, named=_named(self, values)): value for key, value in values.items()}
        changes: dict[str, dict[str, Any]] = {}
        for key, value in whole.items():
            group, _, name = key.partition(".")
            changes.setdefault(group, {})[name] = value
        groups = {group: _changed(getattr(self, group), group, new) for group, new in changes.items()}
        return replace(self, **groups, follows=self.follows - whole.keys())

    def whole_key(self, key: str) -> str:
        """The whole key of a setting or of an option of this method, loss or backbone; see :func:`find_key`.

        Raises:
            UserError: there is no such key, or it is ambiguous.
        """
        return find_key(key, named=_named(self, {}))

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """All values in plain types, as stored in records."""
        return {group: asdict(getattr(self, group)) for group in GROUPS}

    def flat(self) -> dict[str, Any]:
        """All values by whole key, including options of entries."""
        groups = {group: values | values.pop("options", {}) for group, values in self.to_dict().items()}
        return {f"{group}.{key}": value for group, values in groups.items() for key, value in values.items()}


def _named(settings: Settings, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The entries named once some values have changed."""
    short = short_keys()
    changed = {short.get(key, key): value for key, value in values.items()}
    places = {group: f"{group}.{name}" for group, name in ENTRIES.items()}
    return {g: [changed.get(place, getattr(getattr(settings, g), ENTRIES[g]))] for g, place in places.items()}


def _changed(group: Any, name: str, new: dict[str, Any]) -> Any:
    """A group with new values, including options of its entry."""
    own = {f.name for f in fields(group)}
    values = {key: value for key, value in new.items() if key in own}
    options = {key: value for key, value in new.items() if key not in own}
    if name in ENTRIES:
        entry = ENTRIES[name]
        before = {} if values.get(entry, getattr(group, entry)) != getattr(group, entry) else group.options
        values["options"] = {**before, **options}
    return replace(group, **values)
