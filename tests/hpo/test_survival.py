"""Workers that are killed or paused, begin at once, or lose their server: the study ends with all its trials."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import kills
import pytest
import survival
from processes import ROOT
from rare import slow
from servers import BIN, Postgres, proxy

from pa_difc.tuning.journal import Journal
from pa_difc.tuning.steady import SteadyStorage
from pa_difc.util.errors import UserError

COMMAND = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "hpo" / "survival.py")]


@pytest.fixture
def run(tmp_path):
    """Does something to a study's workers in a child of this process; returns what was said, and the trials' states."""

    def run(what, url):
        said = tmp_path / "said.txt"
        status = kills.wait(kills.fork(lambda: getattr(survival, what)(url, str(tmp_path)), said), 280)
        out = said.read_text()
        return out, out.rpartition("states ")[2].split("\n")[0].split(), f"exit status {status}"

    return run


@pytest.fixture
def server():
    if BIN is None:
        pytest.skip("no PostgreSQL server installed (Debian: apt-get install postgresql)")
    with Postgres() as server:
        yield server


@pytest.fixture
def address(tmp_path, request):
    """An empty storage of a kind."""
    with ExitStack() as stack:

        def of(kind):
            if kind == "grpc":
                return stack.enter_context(proxy(tmp_path / "s.db"))
            return request.getfixturevalue("server").url() if kind == "postgres" else f"journal:{tmp_path}/j.log"

        yield of


SHARED = ["journal", *slow("grpc"), "postgres"]


@pytest.mark.parametrize("kind", SHARED)
def test_a_killed_worker_costs_one_try(run, kind, address):
    out, states, err = run("killed", address(kind))
    assert "exit -9" in out and "exit 0" in out and "its worker was lost; retrying" in out, out + err
    assert states.count("COMPLETE") == 4 and states.count("FAIL") == 1 and len(states) == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARED)
def test_a_worker_killed_before_its_trial_s_first_heartbeat_costs_one_try(run, kind, address):
    out, states, err = run("silent", address(kind))
    assert "killed -9 RUNNING\n" in out and "exit 0" in out, out + err
    assert "one that gives no sign for 3 seconds is retried" in out and "its worker was lost; retrying" in out
    assert states == ["FAIL", *["COMPLETE"] * 3] and out.count("defaults") == 1, out


@pytest.mark.parametrize("kind", SHARED)
def test_a_paused_worker_gives_its_trial_up(run, kind, address):
    out, states, err = run("paused", address(kind))
    assert "exit 0" in out and "this worker was silent for so long that others were given it" in out, out + err
    assert "Traceback" not in out and states.count("COMPLETE") == 4 and states.count("RUNNING") == 0


@pytest.mark.parametrize("kind", ["journal", *slow("postgres")])
@pytest.mark.parametrize("what", ["crowd", "crowd_loses_its_first"])
def test_workers_that_begin_at_once_train_nothing_twice(run, what, kind, address):
    out, states, err = run(what, address(kind))
    workers, budget = (3, 6) if what == "crowd" else (4, 8)
    assert out.count("exit 0") == 3 and "Traceback" not in out, out + err
    assert budget <= states.count("COMPLETE") < budget + workers and not {"RUNNING", "WAITING"} & set(states)
    trained = out.rpartition("complete ")[2].split("\n")[0].split()
    assert trained.count("defaults") == 1 and len(set(trained)) == len(trained) == states.count("COMPLETE"), out


@pytest.mark.slow
def test_a_server_that_restarts_costs_no_trial(server):
    process = subprocess.Popen(
        [*COMMAND, server.url()],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for word, act in (("stop", lambda: server.stop(signal.SIGQUIT)), ("start", server.start)):
        assert process.stdout.readline().strip() == word
        act()
        process.stdin.write("\n")
        process.stdin.flush()
    out, err = process.communicate(timeout=200)
    assert out.count("exit 0") == 2 and "Traceback" not in out, out + err
    assert "does not answer" in out and "answers again" in out
    states = out.rpartition("states ")[2].split()
    assert 4 <= states.count("COMPLETE") <= 5 and set(states) == {"COMPLETE"}


class Away:
    """A storage whose calls fail so often."""

    def __init__(self, times):
        self.left = times

    def get_all_studies(self):
        from sqlalchemy.exc import OperationalError

        self.left -= 1
        if self.left >= 0:
            raise OperationalError("SELECT", {}, Exception("no route to secret"))
        return ["one"]


def test_an_absence_has_a_word_and_an_end(monkeypatch, capsys):
    from pa_difc.tuning import steady

    monkeypatch.setattr(steady, "SAY_S", 0.0)
    clean = lambda text: text.replace("secret", "…")  # noqa: E731
    assert SteadyStorage(Away(3), clean).get_all_studies() == ["one"]
    said = capsys.readouterr().out
    assert "no route to …; trying for 5 minutes" in said and "answers again" in said
    monkeypatch.setattr(steady, "PATIENCE_S", 0.3)
    with pytest.raises(UserError, match=r"did not answer for .*no route to …"):
        SteadyStorage(Away(99), clean).get_all_studies()


def test_half_a_line_of_a_journal_is_taken_away(tmp_path):
    journal = Journal(tmp_path / "j.log")
    journal.append_logs([{"a": 1}])
    with (tmp_path / "j.log").open("ab") as file:
        file.write(b'{"b": 2, "long": "' + b"x" * 100_000)
    again = Journal(tmp_path / "j.log")
    assert list(again.read_logs(0)) == [{"a": 1}]
    again.append_logs([{"c": 3}])
    assert list(Journal(tmp_path / "j.log").read_logs(0)) == [{"a": 1}, {"c": 3}]


def test_the_lock_of_a_killed_writer_is_broken_at_once(tmp_path):
    code = "from pa_difc.tuning.journal import JournalLock as L; L(sys.argv[1]).acquire(); os.kill(os.getpid(), 9)"
    code = f"import sys, os; {code}"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "j.log")], cwd=ROOT)
    assert (tmp_path / "j.log.lock").is_symlink()
    began = time.monotonic()
    Journal(tmp_path / "j.log").append_logs([{"a": 1}])
    assert time.monotonic() - began < 2


def test_a_writer_that_is_paused_with_the_lock_delays_others_once_and_loses_none_of_their_lines(tmp_path, monkeypatch):
    """It is paused after it has found an incomplete line, which the others remove before it can."""
    from pa_difc.tuning import journal

    monkeypatch.setattr(journal, "SAY_S", 0.2)
    monkeypatch.setattr(journal, "BREAK_S", 0.6)
    path = tmp_path / "j.log"
    Journal(path).append_logs([{"a": 0}])
    with path.open("ab") as file:
        file.write(b'{"b": ')
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom pa_difc.tuning import journal\n"
        "whole = journal._whole\n"
        "def paused(file):\n    end = whole(file)\n    os.kill(os.getpid(), signal.SIGSTOP)\n    return end\n"
        "journal._whole = paused\njournal.Journal(Path(sys.argv[1])).append_logs([{'paused': 1}])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
    os.waitpid(process.pid, os.WUNTRACED)
    other, took = Journal(path), []
    for i in range(3):
        began = time.monotonic()
        other.append_logs([{"other": i}])
        took.append(time.monotonic() - began)
    assert took[0] > 0.5 and max(took[1:]) < 0.5, took
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0
    lines = [{"a": 0}, {"other": 0}, {"other": 1}, {"other": 2}]
    assert list(Journal(path).read_logs(0)) == [*lines, {"paused": 1}]
    other.append_logs([{"other": 3}])
    assert list(Journal(path).read_logs(0)) == [*lines, {"paused": 1}, {"other": 3}]
    assert not (tmp_path / "j.log.lock").is_symlink()
