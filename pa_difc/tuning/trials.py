"""Runs trials one by one until a study has enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from ..util.interrupts import deferred
from .retries import AGAIN, begin, give_back, recover
from .steady import SteadyStorage
from .workers import WORKER, Beats, TrialLostError, Watch, Worker

#: Seconds between two checks of other workers.
POLL_S = 1.0

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


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
    after: Callable[[], None] = lambda: None,
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
        after: called after each trial.

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
                after()
        if left < 0:
            if not said:
                _say_waiting(study, watch)
            said = True
            time.sleep(POLL_S)


def _run_trial(
    study: optuna.Study, objective: Objective, defaults: dict[str, Any], worker: Worker, heartbeat_s: float
) -> None:
    if (trial := begin(study, defaults)) is None:
        return
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
        if told.state is TrialState.FAIL and WORKER in told.system_attrs and AGAIN in told.system_attrs:
            _say_lost(trial.number)


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
