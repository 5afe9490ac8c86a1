"""What a study searches: dimensions of a space, around a run's own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..util.names import lookup

if TYPE_CHECKING:
    from optuna.trial import Trial

    from ..training.settings import Settings

#: As the upper end of a dimension: the last epoch of a run.
LAST_EPOCH = "last epoch"

#: A key that is no setting: whether classes are re-weighted at all.
REWEIGHT = "reweight"


@dataclass(frozen=True)
class Dimension:
    """A searched value: a key of the settings with a range, or with choices.

    Args:
        about: what it is.
        unit: of the value.
        low, high: the range; ``high=LAST_EPOCH`` for whole numbers of epochs.
        around: in place of a range, this factor to either side of the run's own value.
        log: whether the range is searched by its logarithm.
        choices: in place of a range.
        always: whether every study searches it, or only those that are asked to.
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

    def suggest(self, trial: Trial, key: str, own: Any, epochs: int) -> Any:
        """A value for a trial."""
        if self.choices is not None:
            return trial.suggest_categorical(key, self.choices)
        low, high = self.bounds(own, epochs)
        if self.high == LAST_EPOCH:
            return trial.suggest_int(key, int(low), int(high), log=self.log)
        return trial.suggest_float(key, low, high, log=self.log)

    def describe(self, own: Any, epochs: int) -> str:
        """Meaning, range, unit and default in a line."""
        if self.choices:
            span = "/".join(map(str, self.choices))
        else:
            low, high = self.bounds(own, epochs)
            span = f"{low:g} … {high:g}{' (log)' if self.log else ''}"
        return f"{self.about}; {span}, {self.unit}; default {own}"


Space = Mapping[str, Dimension]


def searched(space: Space, tune: Sequence[str] = ()) -> dict[str, Dimension]:
    """The dimensions of a study: those that are always searched, and some more.

    Args:
        space: all there are.
        tune: further keys.

    Raises:
        UserError: a key can't be tuned.
    """
    always = [key for key, dimension in space.items() if dimension.always]
    return {key: lookup("key to tune", key, space) for key in dict.fromkeys((*always, *tune))}


def suggest(trial: Trial, space: Space, settings: Settings) -> dict[str, Any]:
    """Values for a trial, by key."""
    own = defaults(settings, space)
    return {key: d.suggest(trial, key, own[key], settings.run.epochs) for key, d in space.items()}


def defaults(settings: Settings, space: Space) -> dict[str, Any]:
    """The settings' own values in the space: trial 0."""
    flat = settings.flat()
    own = {key.partition(".")[2]: value for key, value in flat.items()} | flat | {REWEIGHT: True}
    return {key: own[key] for key in space}


def candidate(base: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings of suggested values; re-weighting that is switched off begins after the last epoch."""
    from ..training.resolve import resolve

    changed = dict(values)
    if changed.pop(REWEIGHT, True) is False:
        changed["reweight_epoch"] = base.run.epochs
    return resolve(base.but(**changed))
