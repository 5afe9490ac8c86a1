"""Storages open, or say in one line why not."""

import optuna
import pytest
from storage import open_storage, recover_lost_trials

from pa_difc.errors import UserError


def test_journal_says_that_it_has_no_heartbeat(tmp_path, capsys):
    storage = open_storage(f"journal:{tmp_path / 'sub' / 'study.log'}")
    study = optuna.create_study(storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert "no heartbeat" in capsys.readouterr().out
    again = open_storage(f"journal:{tmp_path / 'sub' / 'study.log'}")
    assert len(optuna.load_study(study_name=study.study_name, storage=again).trials) == 2


def test_grpc_says_so_too_and_an_unreachable_proxy_is_one_line(capsys):
    with pytest.raises(UserError, match=r"grpc://127\.0\.0\.1:9 can't be opened") as error:
        open_storage("grpc://127.0.0.1:9", wait_s=1)
    assert "no heartbeat" in capsys.readouterr().out and "\n" not in str(error.value)


def test_databases_beat(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", heartbeat_s=7)
    assert storage.get_heartbeat_interval() == 7 and storage.grace_period == 21


def test_trials_that_a_killed_process_left_are_queued_again(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=open_storage(url))
    lost = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    assert recover_lost_trials(study, url) == 1
    states = [t.state.name for t in study.trials]
    assert states == ["FAIL", "WAITING"]
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    assert study.trials[1].params == lost.params
    assert recover_lost_trials(study, "postgresql://x") == 0  # heartbeats tell there


@pytest.mark.parametrize("url", ["redis://x", "study.db", ""])
def test_unknown_kinds(url):
    with pytest.raises(UserError, match="must be sqlite:///FILE"):
        open_storage(url)
