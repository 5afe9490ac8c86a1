"""Ctrl-C stops a study at once while it computes, never between two lines of a storage, and is never lost."""

import os
import signal
import subprocess
import sys
import time

import optuna
import pytest
from made import ROOT
from optuna.trial import TrialState
from rare import slow
from studies import config, ready

from pa_difc.tuning.storage import open_storage
from pa_difc.tuning.trials import run_trials
from pa_difc.util import interrupts
from pa_difc.util.interrupts import deferred, interruptible
from pa_difc.util.stops import like_ctrl_c


def press():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)  # Python handles signals between two of its instructions


def test_it_waits_for_the_end_of_a_held_block():
    after = []
    with pytest.raises(KeyboardInterrupt), deferred():
        press()
        press()
        after.append("whole")
    assert after == ["whole"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_through_where_it_may():
    after = []
    with pytest.raises(KeyboardInterrupt), deferred():
        with interruptible():
            press()
            after.append("never")
        after.append("never")
    assert after == []


def test_one_that_waited_stops_the_next_block_that_it_may():
    after = []
    with pytest.raises(KeyboardInterrupt), deferred():
        press()
        after.append("whole")
        with interruptible():
            after.append("never")
    assert after == ["whole"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_a_finaliser_swallowed_is_raised_all_the_same():
    class Swallows:
        def __del__(self):
            press()

    with pytest.raises(KeyboardInterrupt), interruptible():
        Swallows()


def test_it_outdoes_other_exceptions_but_keeps_what_a_stop_says():
    with pytest.raises(KeyboardInterrupt), interruptible(), deferred():
        press()
        raise optuna.TrialPruned  # a pruned trial would go on to the next
    with pytest.raises(KeyboardInterrupt, match="after epoch 3"), deferred(), interruptible():
        try:
            press()
        except KeyboardInterrupt:
            raise KeyboardInterrupt("after epoch 3") from None


def test_a_storage_that_hangs_can_be_left(monkeypatch):
    monkeypatch.setattr(interrupts, "PATIENCE_S", 0.05)
    after = []
    with pytest.raises(KeyboardInterrupt), deferred():
        press()
        time.sleep(0.1)
        press()
        after.append("never")
    assert after == []


def test_a_job_that_ignores_ctrl_c_goes_on_ignoring_it():
    code = "import os, pa_difc.util.interrupts as i\nwith i.deferred(), i.interruptible(): os.kill(os.getpid(), 2)"
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, preexec_fn=ignore)


def test_sigterm_waits_and_comes_through_as_ctrl_c_does():
    after = []
    with pytest.raises(KeyboardInterrupt), like_ctrl_c(), deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        after.append("whole")
    assert after == ["whole"] and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt), like_ctrl_c(), deferred(), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        after.append("never")
    assert after == ["whole"]


WRITES = (
    "create_new_trial",
    "set_trial_param",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_state_values",
)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", [WRITES[0], *slow(*WRITES[1:4]), WRITES[4]])
def test_within_any_write_it_leaves_a_study_that_goes_on(source, target, tmp_path, monkeypatch, write, when):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    storage = open_storage(url)
    base = config("source_only")
    study, objective, first = ready(source, target, tmp_path, base, storage=storage, prune=True)
    run_trials(study, objective, first, 1)
    storage = study._storage  # what optuna itself calls: the storage behind its cache
    kept = getattr(storage, write)
    pressed = []

    def interrupted(*args, **kwargs):
        if when == "before" and not pressed:
            press()
        value = kept(*args, **kwargs)
        if when == "after" and not pressed:
            press()
        pressed.append(True)
        return value

    monkeypatch.setattr(storage, write, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_trials(study, objective, first, 4)
    assert pressed
    states = [trial.state for trial in study.trials]
    assert TrialState.RUNNING not in states  # whatever was begun was told its end
    assert len(study.get_trials(states=[TrialState.COMPLETE])) <= 2  # and none was begun after it
    monkeypatch.undo()
    run_trials(study, objective, first, 3)
    done = study.get_trials(states=[TrialState.COMPLETE])
    undisturbed, objective, first = ready(source, target, tmp_path, base, prune=True)
    run_trials(undisturbed, objective, first, 3)
    assert [t.params for t in done] == [t.params for t in undisturbed.trials]
