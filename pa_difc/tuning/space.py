"""Search spaces: dimensions around a run's own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

from ..training.keys import owners
from ..util.errors import UserError
from ..util.names import lookup

if TYPE_CHECKING:
    from optuna.trial import Trial

    from ..training.settings import Settings

#: Upper end of a dimension that stands for the last epoch of a run.
LAST_EPOCH = "last epoch"

#: A value in this share of a range next to an end is near that end.
_OUTER = 0.1

#: A key that is not a setting: whether classes are re-weighted at all.
REWEIGHT = "reweight"
#: The setting that it stands for: beginning after the last epoch is never.
REWEIGHT_EPOCH = "loss.reweight_epoch"


@dataclass(frozen=True)
class Dimension:
    """How a settings key is searched: within a range, or among choices.

    Args:
        about: its meaning.
        unit: of the value.
        low, high: the range; ``high=LAST_EPOCH`` for whole numbers of epochs.
        around: instead of a range: the run's own value, divided and multiplied by this factor.
        log: search on a logarithmic scale.
        choices: instead of a range.
        always: whether every study searches it, or only those that ask for it.
    """

    about: str
    unit: str = "none"
    low: float | None = None
    high: float | str | None = None
    around: float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None
    always: bool = False

    def bounds(self, own: Any, epochs: int) -> tuple[float, float]:
        """The range for a run.

        Args:
            own: the run's own value.
            epochs: of the run.
        """
        if self.around is not None:
            centre = own or 1.0
            return centre / self.around, centre * self.around
        assert self.low is not None and self.high is not None
        return self.low, (max(1, epochs - 1) if self.high == LAST_EPOCH else float(self.high))

    def near_end(self, value: Any, own: Any, epochs: int) -> str | None:
        """ "lower" or "upper" if a value is in the outer tenth of the range at that end, by the scale of the search.

        None elsewhere, and for choices and epochs, whose ranges can't be widened.
        """
        if self.choices is not None or self.high == LAST_EPOCH:
            return None
        at, low, high = (log(x) if self.log else x for x in (value, *self.bounds(own, epochs)))
        reach = _OUTER * (high - low)
        return "lower" if at < low + reach else "upper" if at > high - reach else None

    def suggest(self, trial: Trial, key: str, own: Any, epochs: int) -> Any:
        """Suggests a value for a trial."""
        if self.choices is not None:
            return trial.suggest_categorical(key, self.choices)
        low, high = self.bounds(own, epochs)
        if self.high == LAST_EPOCH:
            return trial.suggest_int(key, int(low), int(high), log=self.log)
        return trial.suggest_float(key, low, high, log=self.log)

    def describe(self, own: Any, epochs: int) -> str:
        """A line with meaning, range, unit and default."""
        if self.choices:
            span = "/".join(map(str, self.choices))
        else:
            low, high = self.bounds(own, epochs)
            span = f"{low:g} … {high:g}{' (log)' if self.log else ''}"
        return f"{self.about}; {span}, {self.unit}; default {own}"


Space = Mapping[str, Dimension]


def searched(
    space: Space, settings: Settings, tune: Sequence[str] = (), own: Space | None = None
) -> dict[str, Dimension]:
    """The dimensions of a study: those that are always searched and that the run has, and the asked-for ones.

    If there are none, these are the run's own.

    Args:
        space: all dimensions.
        settings: of the run, resolved.
        tune: further keys to search, of the space or of ``own``.
        own: see :func:`own_dimensions`.

    Raises:
        UserError: a key can't be tuned, the run lacks an asked-for one, or it has none of those always searched.
    """
    space = {**(own or {}), **space}
    asked = {whole: space[whole] for whole in (_asked(key, space, settings) for key in tune)}
    lacking = not_of(space, settings)
    for key in asked:
        if key in lacking:
            settings.whole_key(key)  # fails, and says whose option it is
    always = [key for key, dimension in space.items() if dimension.always]
    found = {key: space[key] for key in always if key not in lacking} | asked
    found = found or dict(own or {})
    if not found:
        run = f"method {settings.method.name} with loss {settings.loss.name}"
        what = f"{run} has none of {', '.join(always)}" if always else "the space has no dimension with always=True"
        others = " ".join(key for key in space if key not in lacking)
        tuned = f"--tune with some of: {others}; or " if others else ""
        options = ", ".join([*settings.method.options, *settings.loss.options])
        raise UserError(f"{what}: give {tuned}--space FILE.py with other keys{options and ', such as '}{options}")
    _require_distinct(found, settings)
    return found


def _asked(key: str, space: Space, settings: Settings) -> str:
    """The key of the space that a key of ``--tune`` means: the same, or of a short one the whole one.

    Raises:
        UserError: there is none, or several.
    """
    if key not in space and any(whole.partition(".")[2] == key for whole in space):
        return settings.whole_key(key)
    lookup("key to tune", key, space)
    return key


def _require_distinct(space: Space, settings: Settings) -> None:
    """Refuses two keys of one setting: a whole one and a short one.

    Raises:
        UserError: there are two.
    """
    seen: dict[str, str] = {}
    for key in space:
        whole = key if key == REWEIGHT else settings.whole_key(key)
        if whole in seen:
            raise UserError(f"{seen[whole]} and {key} are the same setting: search one of them")
        seen[whole] = key


def not_of(space: Space, settings: Settings) -> list[str]:
    """The keys of a space that are options of other methods, losses and backbones than the run's.

    Raises:
        UserError: a key is no setting and nobody's option, or it is ambiguous.
    """
    lacking = []
    own = {name for whole in settings.flat() for name in (whole, whole.partition(".")[2])} | {REWEIGHT}
    for key in space:
        if key not in own and owners(key):
            lacking.append(key)
        elif key != REWEIGHT:
            settings.whole_key(key)
    return lacking


def suggest(trial: Trial, space: Space, settings: Settings) -> dict[str, Any]:
    """Suggests values for a trial, by key."""
    own = defaults(settings, space)
    return {key: d.suggest(trial, key, own[key], settings.run.epochs) for key, d in space.items()}


def defaults(settings: Settings, space: Space) -> dict[str, Any]:
    """The settings' own values of the searched keys: trial 0."""
    flat = settings.flat()
    own = {key.partition(".")[2]: value for key, value in flat.items()} | flat | {REWEIGHT: True}
    return {key: own[key] for key in space}


def candidate(base: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with suggested values; re-weighting is switched off by beginning after the last epoch."""
    from ..training.resolve import resolve

    changed = dict(values)
    if changed.pop(REWEIGHT, True) is False:
        changed[REWEIGHT_EPOCH] = base.run.epochs
    return resolve(base.but(**changed))
