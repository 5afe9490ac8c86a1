"""Storages open, or say in one line why not."""

import subprocess
import sys

import optuna
import pytest
from processes import ROOT

from pa_difc.tuning.storage import _database, open_storage, recover_lost_trials
from pa_difc.tuning.study import open_study
from pa_difc.util.errors import UserError


def test_journal_says_that_it_has_no_heartbeat(tmp_path, capsys):
    storage = open_storage(f"journal:{tmp_path / 'sub' / 'study.log'}")
    study = optuna.create_study(storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert "no heartbeat" in capsys.readouterr().out
    again = open_storage(f"journal:{tmp_path / 'sub' / 'study.log'}")
    assert len(optuna.load_study(study_name=study.study_name, storage=again).trials) == 2


def test_grpc_says_so_too_and_an_unreachable_proxy_is_one_line():
    # in a process of its own: gRPC's threads abort the children that a later test forks
    code = "from pa_difc.tuning.storage import open_storage; open_storage('grpc://127.0.0.1:9', wait_s=1)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "no heartbeat" in done.stdout
    assert last.startswith("pa_difc.util.errors.UserError: storage grpc://127.0.0.1:9 can't be opened"), done.stderr


def test_databases_beat(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", heartbeat_s=7)
    assert storage.get_heartbeat_interval() == 7 and storage.grace_period == 21


def one_trial(study):
    study.optimize(
        lambda t: -((t.suggest_float("x", 0, 1) - 0.6) ** 2) - (t.suggest_float("y", 0, 1) - 0.3) ** 2, n_trials=1
    )


@pytest.mark.parametrize(("sampler", "done"), [("tpe", 0), ("tpe", 12), ("gp", 11)])
def test_a_lost_trial_is_made_up_for_with_the_same_values(tmp_path, sampler, done):
    options = {"sampler": sampler, "pruner": "none", "seed": 3, "must_exist": False}

    def opened(name):
        url = f"sqlite:///{tmp_path / name}.db"
        return open_study(_database(url, 60), "s", {}, **options), url

    straight, _ = opened("a")
    for _ in range(done + 2):
        one_trial(straight)
    killed, url = opened("b")
    for _ in range(done):
        one_trial(killed)
    killed.ask().suggest_float("x", 0, 1)  # and there it was killed
    killed, url = opened("b")  # another process: a generator of its own
    assert recover_lost_trials(killed, url) == 1
    for _ in range(2):
        one_trial(killed)
    complete = [t.params for t in killed.trials if t.state.name == "COMPLETE"]
    assert complete == [t.params for t in straight.trials]
    assert len({t["x"] for t in complete}) == done + 2
    assert recover_lost_trials(killed, "postgresql://x") == 0  # heartbeats tell there


def test_a_lost_trial_that_was_queued_is_queued_again(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=open_storage(url))
    study.enqueue_trial({"x": 0.25})
    study.ask()
    assert recover_lost_trials(study, url) == 1
    assert [t.state.name for t in study.trials] == ["FAIL", "WAITING"]
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert study.trials[1].params == {"x": 0.25}


@pytest.mark.parametrize("url", ["redis://x", "study.db", ""])
def test_unknown_kinds(url):
    with pytest.raises(UserError, match="must be sqlite:///FILE"):
        open_storage(url)
