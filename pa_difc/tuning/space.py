"""What a study searches: each value once, with default, range, unit and meaning.

Ranges span decades on purpose. At the paper's point (cap 0.3, ε 0.02) margins are small against logits of 5 to 10, and
a search around it would compare noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import Trial

from ..training.settings import Config
from ..util.names import lookup


@dataclass(frozen=True)
class Dimension:
    """A searched value: a key of the config with a range, or with choices."""

    about: str
    unit: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None
    integer: bool = False

    def suggest(self, trial: Trial, key: str) -> Any:
        if self.choices is not None:
            return trial.suggest_categorical(key, self.choices)
        if self.integer:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)

    def describe(self, key: str, default: Any) -> str:
        span = "/".join(map(str, self.choices)) if self.choices else f"{self.low:g} … {self.high:g}"
        return f"{key}: {self.about}; {span}{' (log)' if self.log else ''}, {self.unit}; default {default}"


#: Searched in every study.
ALWAYS = ("max_margin", "epsilon")


def search_space(config: Config, tune: Sequence[str] = ()) -> dict[str, Dimension]:
    """The dimensions of a study around a resolved config.

    Args:
        config: what is not searched, and the defaults.
        tune: further keys.

    Raises:
        UserError: a key can't be tuned.
    """
    known = _dimensions(config)
    return {key: lookup("key to tune", key, known) for key in dict.fromkeys((*ALWAYS, *tune))}


def tunable(config: Config) -> dict[str, Dimension]:
    """Every dimension there is, for help texts."""
    return _dimensions(config)


def suggest(trial: Trial, space: dict[str, Dimension]) -> dict[str, Any]:
    """Values for a trial, by config key."""
    return {key: dimension.suggest(trial, key) for key, dimension in space.items()}


def defaults(config: Config, space: dict[str, Dimension]) -> dict[str, Any]:
    """The config's own values in the space: trial 0."""
    own = {**config.to_dict(), "reweight": True}  # a switch of the search, not a key of the config
    return {key: own[key] for key in space}


def _dimensions(config: Config) -> dict[str, Dimension]:
    last = config.epochs - 1
    return {
        "max_margin": Dimension("the largest class margin; γ follows from it", "logit units", 0.05, 3.0, log=True),
        "epsilon": Dimension("ε, the largest increment for confusion", "logit units", 0.005, 1.0, log=True),
        "scale": Dimension("s, the factor on the classifier's logits", "none", 0.3, 30.0, log=True),
        "head": Dimension("the classifier", "none", choices=("linear", "cosine")),
        "confusion_epoch": Dimension("T1, first epoch of the DIFC phase", "epochs", 0, max(1, last), integer=True),
        "reweight": Dimension("deferred re-weighting on or off", "none", choices=(True, False)),
        "reweight_epoch": Dimension("first epoch with class weights", "epochs", 0, max(1, last), integer=True),
        "beta": Dimension("β of the class weights", "none", choices=(0.9, 0.99, 0.999, 0.9999, 0.99999)),
        "weight": Dimension("of the method's own loss", "none", *_around(config.weight), log=True),
        "lr": Dimension("learning rate until the switch", "none", *_around(config.lr), log=True),
    }


def _around(value: float | None) -> tuple[float, float]:
    """A decade and a half to either side."""
    centre = value or 1.0
    return centre / 30, centre * 30
