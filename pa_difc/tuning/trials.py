"""Runs trials one by one until a study has enough, and recovers trials of lost workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from .interrupts import deferred
from .sampler import FIRST_TRY
from .steady import SteadyStorage
from .workers import WORKER, Beats, TrialLostError, Watch, Worker

#: Seconds between two checks of other workers.
POLL_S = 1.0

#: A trial that lost more workers than this is given up: its values may be the cause.
MAX_RETRIES = 2

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

#: Attributes of a trial: that it failed and is to be retried; how many workers it has lost; which trial it retries.
_AGAIN, _LOSSES, _AFTER = "again", "losses", "after"


class Objective(Protocol):
    """The function that a study maximises; it calls ``check``, which raises once another worker has the trial."""

    def __call__(self, trial: optuna.Trial, check: Callable[[], None]) -> float: ...


def run_trials(
    study: optuna.Study,
    objective: Objective,
    defaults: dict[str, Any],
    budget: int,
    worker: Worker | None = None,
    *,
    heartbeat_s: float = 60,
    quiet: bool = False,
) -> None:
    """Runs trials until all workers together have finished ``budget``; trial 0 has the defaults.

    With W parallel workers there may be up to budget + W − 1 trials, because each one checks before it begins a trial.

    Args:
        study: from :func:`.study.open_study`.
        objective: the function to maximise.
        defaults: the values of the first trial.
        budget: total number of trials.
        worker: this process.
        heartbeat_s: seconds between a worker's heartbeats.
        quiet: do not print what this worker is waiting for; its parent does.

    Raises:
        KeyboardInterrupt: Ctrl-C; the trial is queued again.
    """
    worker = worker or Worker()
    if isinstance(study._storage, SteadyStorage):
        study._storage.worker = worker.name
    watch, said = Watch(study, worker, heartbeat_s), quiet
    left = 1
    while left:
        with deferred():
            recover(study, watch, defaults)
            left = _left(study, budget)
            if left > 0:
                said = quiet
                _run_trial(study, objective, defaults, worker, heartbeat_s)
        if left < 0:
            if not said:
                _say_waiting(study, watch)
            said = True
            time.sleep(POLL_S)


def _run_trial(
    study: optuna.Study, objective: Objective, defaults: dict[str, Any], worker: Worker, heartbeat_s: float
) -> None:
    if not any(trial.state is not TrialState.FAIL for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(defaults, user_attrs={"origin": "defaults"})  # the first trial, again if it was lost
    trial = study.ask()
    value, state = None, None
    try:
        with Beats(study._storage, trial, worker, heartbeat_s) as beats:
            try:
                value = objective(trial, beats.check)
            except optuna.TrialPruned:
                state = TrialState.PRUNED
        told = study.tell(trial, value, state, skip_if_finished=True)
    except (TrialLostError, UpdateFinishedTrialError):
        _say_lost(trial.number)
    except BaseException:
        with suppress(Exception):  # if the storage fails too, another worker will find the trial without a worker
            give_back(study, study._storage.get_trial(trial._trial_id), defaults, killed=False)
        raise
    else:
        if told.state is TrialState.FAIL and WORKER in told.system_attrs and _AGAIN in told.system_attrs:
            _say_lost(trial.number)


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
    again: bool = losses <= MAX_RETRIES
    storage.set_trial_system_attr(trial._trial_id, _LOSSES, losses)
    storage.set_trial_system_attr(trial._trial_id, _AGAIN, again)
    storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    if again:
        _queue(study, storage.get_trial(trial._trial_id), space)
    return again


def recover(study: optuna.Study, watch: Watch, space: Collection[str]) -> None:
    """Queues the trials of lost workers again, and completes what a killed worker had begun to queue."""
    for trial in watch.lost():
        with suppress(UpdateFinishedTrialError):
            again = give_back(study, trial, space, killed=True)
            fate = "retrying" if again else f"it lost {MAX_RETRIES + 1} workers and is given up"
            print(f"trial {trial.number}: its worker was lost; {fate}", flush=True)
    trials = study.get_trials(deepcopy=False)
    queued = {trial.system_attrs.get(_AFTER) for trial in trials}
    for trial in trials:
        if trial.state is TrialState.FAIL and trial.system_attrs.get(_AGAIN) and trial.number not in queued:
            _queue(study, trial, space)


def recover_all(study: optuna.Study, space: Collection[str]) -> None:
    """Queues every running trial again; only for use if no other worker can be running."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        give_back(study, trial, space, killed=True)


def _queue(study: optuna.Study, trial: FrozenTrial, space: Collection[str]) -> None:
    """Queues a failed trial again; if only some of its values were stored, the sampler will suggest the same ones."""
    whole = trial.params.keys() >= set(space)
    attrs = {k: v for k, v in trial.system_attrs.items() if k in ("fixed_params", FIRST_TRY, _LOSSES)}
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


def _left(study: optuna.Study, budget: int) -> int:
    """1 if a trial has to be begun, 0 if all are done, -1 if other workers, maybe lost ones, have the rest."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    finished = sum(state in FINISHED for state in states)
    if finished >= budget:
        return 0
    return -1 if finished + states.count(TrialState.RUNNING) >= budget else 1


def _say_waiting(study: optuna.Study, watch: Watch) -> None:
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    names = ", ".join(f"{t.number} ({_brief(t.system_attrs.get(WORKER))})" for t in running)
    about = f"one that gives no sign for {watch.grace_s:g} seconds is retried"
    print(f"waiting for other workers' trials: {names}; {about}", flush=True)


def _say_lost(number: int) -> None:
    print(f"trial {number}: this worker was silent for so long that others were given it; on to the next", flush=True)


def _brief(worker: str | None) -> str:
    """A worker's machine and process, as text."""
    machine, _, own = (worker or "").rpartition("/")
    return f"{machine.partition(':')[0]}, process {own.partition('-')[0]}" if worker else "unknown worker"
