"""Begins trials, each exactly once for any number of workers, and recovers those of lost workers.

Storages have no transaction over several calls, so two workers may decide the same at once. But in all of them each
trial gets a number of its own, in the order in which trials become visible. Trial 0 therefore has the defaults, whoever
makes it, and of several copies of a retried trial the one with the lowest number counts.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from .sampler import FIRST_TRY
from .workers import Watch

#: A trial that lost more workers than this is given up: its values may be the cause.
MAX_RETRIES = 2

#: Attributes of a trial: that it failed and is to be retried; how many workers it has lost; which trial it retries.
AGAIN, _LOSSES, _AFTER = "again", "losses", "after"

#: optuna's attribute of a trial whose values are given.
_FIXED = "fixed_params"


def begin(study: optuna.Study, defaults: dict[str, Any]) -> optuna.Trial | None:
    """Begins the next trial; trial 0 has the defaults.

    Args:
        study: from :func:`.study.open_study`.
        defaults: the values of trial 0.

    Returns:
        The trial; None if it was a copy that another worker had queued too.
    """
    trial, storage = study.ask(), study._storage
    own = storage.get_trial(trial._trial_id)
    if _is_copy(study, own):
        _fail(study, own)
        return None
    if own.system_attrs.get(FIRST_TRY, own.number) == 0 and _FIXED not in own.system_attrs:
        storage.set_trial_user_attr(own._trial_id, "origin", "defaults")
        storage.set_trial_system_attr(own._trial_id, _FIXED, defaults)
        trial = optuna.Trial(study, own._trial_id)  # which now reads them
    return trial


def give_back(study: optuna.Study, trial: FrozenTrial, space: Collection[str], *, killed: bool) -> bool:
    """Fails a running trial and queues it again, unless it is given up; it will resume from its folder's checkpoint.

    If this is interrupted, :func:`recover` completes it.

    Args:
        study: of the trial.
        trial: the running trial.
        space: the names of all searched values.
        killed: whether its worker was killed, perhaps because of the trial.

    Returns:
        Whether it is retried.

    Raises:
        UpdateFinishedTrialError: another worker was faster.
    """
    storage = study._storage
    losses = trial.system_attrs.get(_LOSSES, 0) + killed
    again = losses <= MAX_RETRIES and not _is_copy(study, trial)
    storage.set_trial_system_attr(trial._trial_id, _LOSSES, losses)
    storage.set_trial_system_attr(trial._trial_id, AGAIN, again)
    storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    if again:
        _queue(study, storage.get_trial(trial._trial_id), space)
    return again


def recover(study: optuna.Study, watch: Watch, space: Collection[str]) -> None:
    """Queues the trials of lost workers again, and completes what a killed worker had begun to queue.

    Two workers that do so at once may queue a trial twice; the second copy is failed here, or in :func:`begin`.
    """
    for trial in watch.lost():
        with suppress(UpdateFinishedTrialError):
            again = give_back(study, trial, space, killed=True)
            fate = "retrying" if again else f"it lost {MAX_RETRIES + 1} workers and is given up"
            print(f"trial {trial.number}: its worker was lost; {fate}", flush=True)
    trials = study.get_trials(deepcopy=False)
    queued = {trial.system_attrs.get(_AFTER) for trial in trials}
    for trial in trials:
        if trial.state is TrialState.FAIL and trial.system_attrs.get(AGAIN) and trial.number not in queued:
            _queue(study, trial, space)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if _is_copy(study, trial):
            _fail(study, trial)


def recover_all(study: optuna.Study, space: Collection[str]) -> None:
    """Queues every running trial again; only for use if no other worker can be running."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        give_back(study, trial, space, killed=True)


def _queue(study: optuna.Study, trial: FrozenTrial, space: Collection[str]) -> None:
    """Queues a failed trial again; if only some of its values were stored, the sampler will suggest the same ones."""
    whole = trial.params.keys() >= set(space)
    attrs = {k: v for k, v in trial.system_attrs.items() if k in (_FIXED, FIRST_TRY, _LOSSES)}
    attrs = {FIRST_TRY: trial.number, **attrs, _AFTER: trial.number}
    kept = {k: v for k, v in trial.user_attrs.items() if k == "origin"}
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params if whole else {},
            distributions=trial.distributions if whole else {},
            user_attrs=kept,
            system_attrs=attrs,
        )
    )


def _is_copy(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether an earlier trial retries the same one."""
    after = trial.system_attrs.get(_AFTER)
    earlier = study.get_trials(deepcopy=False)[: trial.number]
    return after is not None and any(other.system_attrs.get(_AFTER) == after for other in earlier)


def _fail(study: optuna.Study, trial: FrozenTrial) -> None:
    """Fails a trial for good, unless another worker has."""
    with suppress(UpdateFinishedTrialError):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
