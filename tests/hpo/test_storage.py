"""Storages open, or say in one line why not."""

import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState
from processes import ROOT

from pa_difc.tuning.retries import MAX_RETRIES, begin, give_back, recover_all
from pa_difc.tuning.storage import open_storage
from pa_difc.tuning.study import open_study
from pa_difc.util.errors import UserError


def test_a_journal_is_there_for_the_next(tmp_path):
    storage = open_storage(f"journal:{tmp_path / 'sub' / 'study.log'}")
    study = optuna.create_study(storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    again = open_storage(f"journal:{tmp_path / 'sub' / 'study.log'}")
    assert len(optuna.load_study(study_name=study.study_name, storage=again).trials) == 2


def test_an_unreachable_proxy_is_one_line():
    # in a process of its own: gRPC's threads abort the children that a later test forks
    code = "from pa_difc.tuning.storage import open_storage; open_storage('grpc://127.0.0.1:9', wait_s=1)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pa_difc.util.errors.UserError: storage grpc://127.0.0.1:9 can't be opened"), done.stderr


SPACE = ("x", "y")


def one_trial(study):
    study.optimize(
        lambda t: -((t.suggest_float("x", 0, 1) - 0.6) ** 2) - (t.suggest_float("y", 0, 1) - 0.3) ** 2, n_trials=1
    )


@pytest.mark.parametrize(("sampler", "done"), [("tpe", 0), ("tpe", 12), ("gp", 11)])
def test_a_lost_trial_is_made_up_for_with_the_same_values(tmp_path, sampler, done):
    options = {"sampler": sampler, "pruner": "none", "seed": 3, "must_exist": False}

    def opened(name):
        return open_study(open_storage(f"sqlite:///{tmp_path / name}.db", shared=True), "s", {}, **options)

    straight = opened("a")
    for _ in range(done + 2):
        one_trial(straight)
    killed = opened("b")
    for _ in range(done):
        one_trial(killed)
    killed.ask().suggest_float("x", 0, 1)  # and there it was killed
    killed = opened("b")  # another process: a generator of its own
    recover_all(killed, SPACE)
    for _ in range(2):
        one_trial(killed)
    complete = [t.params for t in killed.trials if t.state.name == "COMPLETE"]
    assert complete == [t.params for t in straight.trials]
    assert len({t["x"] for t in complete}) == done + 2


def test_a_lost_trial_that_was_queued_is_queued_again(tmp_path):
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path / 'study.db'}"))
    study.enqueue_trial({"x": 0.25})
    study.ask()
    recover_all(study, ["x"])
    assert [t.state.name for t in study.trials] == ["FAIL", "WAITING"]
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert study.trials[1].params == {"x": 0.25}


def test_a_lost_trial_that_two_workers_queue_is_trained_once(tmp_path):
    """Both saw it lost before either had queued it, and the copy may be what a worker gets first."""
    options = {"sampler": "tpe", "pruner": "none", "seed": 3, "must_exist": False}
    study = open_study(open_storage(f"sqlite:///{tmp_path / 'study.db'}"), "s", {}, **options)
    first = begin(study, {"x": 0.25})
    first.suggest_float("x", 0, 1)
    recover_all(study, ["x"])
    for _ in range(2):
        study.add_trial(study.trials[1])
    study._storage.set_trial_state_values(study.trials[1]._trial_id, TrialState.RUNNING)  # another worker's
    assert begin(study, {"x": 0.25}) is None
    copy = study.ask()  # by a worker that is killed before it looks
    recover_all(study, ["x"])
    assert [t.state.name for t in study.trials] == ["FAIL", "FAIL", "FAIL", "FAIL", "WAITING"], copy
    values = [begin(study, {"x": 0.25}).suggest_float("x", 0, 1) for _ in range(3)]
    assert values[0] == 0.25 and len(set(values)) == 3


def test_trial_0_has_the_defaults_even_if_its_worker_was_killed_before_it_could_note_them(tmp_path):
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path / 'study.db'}"))
    study.ask()
    recover_all(study, ["x"])
    trials = [begin(study, {"x": 0.25}) for _ in range(2)]
    assert [t.suggest_float("x", 0, 1) == 0.25 for t in trials] == [True, False]
    assert [t.user_attrs.get("origin") for t in study.trials] == [None, "defaults", None]


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path):
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path / 'study.db'}"))
    for _ in range(MAX_RETRIES + 1):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        recover_all(study, ["x"])
    assert {t.state.name for t in study.trials} == {"FAIL"} and len(study.trials) == MAX_RETRIES + 1
    assert len({t.params["x"] for t in study.trials}) == 1
    trial = study.ask()
    assert trial.suggest_float("x", 0, 1) != study.trials[0].params["x"]


def test_ctrl_c_costs_a_trial_nothing(tmp_path):
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path / 'study.db'}"))
    for _ in range(MAX_RETRIES + 3):
        trial = study.ask()
        give_back(study, study.trials[trial.number], ["x"], killed=False)
    assert study.trials[-1].state.name == "WAITING"


@pytest.mark.parametrize("url", ["redis://x", "study.db", ""])
def test_unknown_kinds(url):
    with pytest.raises(UserError, match="must be sqlite:///FILE"):
        open_storage(url)
