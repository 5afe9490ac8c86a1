"""A study: its identity, its trials one by one, and the choice at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from ..evaluation import CRITERIA
from ..evaluation.criteria import CONSENSUS, consensus, ensemble_agreement
from ..util.errors import UserError
from .interrupts import deferred
from .objective import Objective, unpack
from .storage import requeue

#: The choice by target labels.
ORACLE = "oracle"

#: How the final choice may be made.
SELECTIONS: dict[str, str] = {
    "consensus": "mean rank by im, class_ami and ensv, among trials that keep the source's recall",
    **{name: criterion.about for name, criterion in CRITERIA.items()},
    "ensv": "agreement with the mean of all trials; a pool that mostly fails agrees with the failure",
    ORACLE: "target test labels: NOT A RESULT, only a bound (needs --allow-target-labels)",
}

#: Seconds between looks at what other workers are doing.
POLL_S = 1.0

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def objective_criterion(selection: str) -> str:
    """What trials maximise under a selection: the criterion itself where it scores one trial alone, else IM."""
    return selection if selection in CRITERIA else "im"


def open_study(
    storage: optuna.storages.BaseStorage,
    name: str,
    identity: dict[str, Any],
    *,
    sampler: str,
    pruner: str,
    seed: int,
    must_exist: bool,
) -> optuna.Study:
    """The study by name, made if need be.

    Args:
        storage: see :mod:`storage`.
        name: of the study.
        identity: everything that its trials' values depend on, as plain values; a study made under another is refused.
        sampler, pruner: of :data:`pa_difc.tuning.SAMPLERS` and :data:`pa_difc.tuning.PRUNERS`.
        seed: of the sampler.
        must_exist: refuse to begin a new one.

    Raises:
        UserError: the study was made under other settings, or must exist and does not.
    """
    exists = name in {summary.study_name for summary in optuna.get_all_study_summaries(storage)}
    if must_exist and not exists:
        raise UserError(f"--resume: there is no study {name!r} in this storage")
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        sampler=_sampler(sampler, seed),
        pruner=_pruner(pruner),
    )
    then = study.user_attrs.get("identity")
    if then is None:
        study.set_user_attr("identity", identity)
    elif then != identity:
        differing = sorted(k for k in {*then, *identity} if then.get(k) != identity.get(k))
        what = "; ".join(f"{k} was {then.get(k)}, is {identity.get(k)}" for k in differing)
        raise UserError(f"study {name!r} was made under other settings ({what[:400]}): choose another --out")
    return study


def run_trials(study: optuna.Study, objective: Objective, defaults: dict[str, Any], budget: int) -> None:
    """Runs trials until the study, all workers together, has finished ``budget``; trial 0 is the defaults.

    With W workers at once it may end with up to budget + W − 1: each looks before it begins a trial.

    Raises:
        KeyboardInterrupt: the trial is queued again.
    """
    left = 1
    while left:
        with deferred():
            left = _left(study, budget)
            if left > 0:
                _run_trial(study, objective, defaults)
            elif left < 0:
                optuna.storages.fail_stale_trials(study)
        if left < 0:
            time.sleep(POLL_S)


def _run_trial(study: optuna.Study, objective: Objective, defaults: dict[str, Any]) -> None:
    if not any(trial.state is not TrialState.FAIL for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(defaults, user_attrs={"origin": "defaults"})  # first of all, also if it was lost
    try:
        study.optimize(objective, n_trials=1)
    except KeyboardInterrupt:
        if objective.trial is not None:
            requeue(study, objective.trial)
        raise


def _left(study: optuna.Study, budget: int) -> int:
    """1 if a trial has to be begun, 0 if all are done, -1 if others, who may be lost, are at work on the rest."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    finished = sum(state in FINISHED for state in states)
    if finished >= budget:
        return 0
    return -1 if finished + states.count(TrialState.RUNNING) >= budget else 1


@dataclass(frozen=True)
class Choice:
    """What selection chose, and how every candidate did by every criterion."""

    chosen: FrozenTrial
    candidates: list[FrozenTrial]
    scores: dict[str, list[float]]  #: by criterion, per candidate; larger is better
    feasible: list[bool]  #: whether a candidate keeps the source's recall

    def pick(self, criterion: str) -> int:
        """The index of the candidate that a criterion would choose, among those that keep the source's recall."""
        return best(self.scores[criterion], self.feasible)


def choose(study: optuna.Study, selection: str, oracle_scores: Sequence[float] | None = None) -> Choice:
    """Makes the final choice.

    Args:
        study: with at least one complete trial.
        selection: a key of :data:`SELECTIONS`.
        oracle_scores: per complete trial, for "oracle" alone.

    Raises:
        UserError: no trial is complete.
    """
    candidates = complete_trials(study)
    if not candidates:
        raise UserError("no trial has come to its end: nothing to choose from")
    scores: dict[str, list[float]] = {name: [t.user_attrs["criteria"][name] for t in candidates] for name in CRITERIA}
    scores["ensv"] = ensemble_agreement([unpack(t.user_attrs["target_probs"]).astype(np.float64) for t in candidates])
    scores["consensus"] = consensus([scores[name] for name in CONSENSUS])
    feasible = [all(value <= 0 for value in t.constraints.values()) for t in candidates]
    if selection == ORACLE and oracle_scores is not None:
        chosen = best(oracle_scores, [True] * len(candidates))
    else:
        chosen = best(scores[selection], feasible)
    return Choice(candidates[chosen], candidates, scores, feasible)


def best(scores: Sequence[float], allowed: Sequence[bool]) -> int:
    """The index of the highest score among those that are allowed; among all, if none is."""
    return max((i for i, ok in enumerate(allowed) if ok or not any(allowed)), key=lambda i: scores[i])


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to their end, in their order."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


class SamplerByPosition(optuna.samplers.BaseSampler):
    """A sampler whose suggestions follow from its seed, the finished trials and the position of the new one alone.

    A generator that goes on from trial to trial would begin anew in a process that goes on with a killed one's study,
    and suggest again what was tried; in several workers it would suggest the same to each.

    Args:
        kind: optuna's sampler; is given a seed.
        seed: of the study.
    """

    def __init__(self, kind: Callable[..., optuna.samplers.BaseSampler], seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._inner = kind(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        position = sum(t.state is not TrialState.FAIL for t in earlier)  # a failed one is tried again
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


def _sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    kinds = {"gp": optuna.samplers.GPSampler, "tpe": optuna.samplers.TPESampler}
    return SamplerByPosition(kinds[name], seed)


def _pruner(name: str) -> optuna.pruners.BasePruner:
    if name == "median":
        return optuna.pruners.MedianPruner()
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner()
    return optuna.pruners.NopPruner()
