"""A sampler that continues with a killed worker's study as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

#: A trial that is retried has the number of the first try in this attribute; it is optuna's name.
FIRST_TRY = "failed_trial"


class SamplerByPosition(optuna.samplers.BaseSampler):
    """A sampler whose suggestions follow from its seed, the finished trials and the position of the new one alone.

    A generator that resumes from trial to trial would begin anew in a process that continues with a killed one's study,
    and suggest again what was tried; in several workers it would suggest the same to each.

    Args:
        kind: optuna's sampler; is given a seed.
        seed: of the study.
    """

    def __init__(self, kind: Callable[..., optuna.samplers.BaseSampler], seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._inner = kind(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        first = trial.system_attrs.get(FIRST_TRY, trial.number)
        earlier = study.get_trials(deepcopy=False)[:first]
        position = sum(FIRST_TRY not in t.system_attrs for t in earlier)  # one that is retried keeps its own
        self._inner = self._kind(seed=int(np.random.SeedSequence([self._seed, position]).generate_state(1)[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler of :data:`pa_difc.tuning.SAMPLERS`."""
    kinds = {"gp": optuna.samplers.GPSampler, "tpe": optuna.samplers.TPESampler}
    return SamplerByPosition(kinds[name], seed)
