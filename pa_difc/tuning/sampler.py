"""A sampler whose suggestions do not depend on the process that makes them, so that killed studies resume unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

#: optuna's attribute of a retried trial that holds the number of its first try.
FIRST_TRY = "failed_trial"
#: How many trials optuna's samplers draw at random before they learn from them (``n_startup_trials``).
RANDOM = 10


class SamplerByPosition(optuna.samplers.BaseSampler):
    """A sampler whose suggestions depend only on its seed, the finished trials and the new trial's position.

    An ordinary generator would start again in a process that resumes a study, and suggest what was tried already;
    several workers would all get the same suggestions.

    Args:
        kind: makes optuna's sampler for a seed.
        seed: of the study.
    """

    def __init__(self, kind: Callable[..., optuna.samplers.BaseSampler], seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._inner = kind(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        first = trial.system_attrs.get(FIRST_TRY, trial.number)
        earlier = study.get_trials(deepcopy=False)[:first]
        position = sum(FIRST_TRY not in t.system_attrs for t in earlier)  # a retried trial keeps its position
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
    """The sampler with a name of :data:`pa_difc.tuning.SAMPLERS`."""
    kinds = {"gp": optuna.samplers.GPSampler, "tpe": optuna.samplers.TPESampler}
    return SamplerByPosition(partial(kinds[name], n_startup_trials=RANDOM), seed)
