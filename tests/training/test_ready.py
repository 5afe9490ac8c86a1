"""Workers that are forked from a process which has imported all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there are workers forked")

#: A script without a guard for its main part, which makes two workers.
SCRIPT = """
import json
from pa_difc.training.ready import worker_process
print("ran", flush=True)

pools = [worker_process() for _ in range(2)]
found = [[pool.submit(eval, code).result() for code in (
    "__import__('os').getpid()", "__import__('os').getppid()", "__import__('torch').get_num_threads()",
    "'pa_difc.training.worker' in __import__('sys').modules", "dict(__import__('os').environ)['OMP_NUM_THREADS']",
    "[*map(int, __import__('signal').pthread_sigmask(0, []))]")] for pool in pools]
print(json.dumps(found), flush=True)
for pool in pools:
    pool.shutdown()
"""


def script(tmp_path, text=SCRIPT):
    (tmp_path / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, str(tmp_path / "script.py")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, cwd=tmp_path)


def test_workers_share_what_is_imported_and_do_not_run_the_script_again(tmp_path):
    done = script(tmp_path)
    assert done.returncode == 0 and done.stdout.count("ran") == 1, done.stdout + done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first[0] != second[0] and first[1] == second[1]  # two processes of one parent
    for _, _, threads, imported, environment, blocked in (first, second):
        assert threads == 1 and imported and environment == "1"
        assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= set(blocked)  # they are told to stop by their parent


def test_workers_have_the_environment_of_when_they_start(monkeypatch):
    from pa_difc.training.ready import worker_process

    for value in ("one", "two"):
        monkeypatch.setenv("MEANT_FOR_A_PLUGIN", value)
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        pool = worker_process()
        try:
            found = pool.submit(eval, "dict(__import__('os').environ)").result()
        finally:
            pool.shutdown()
        assert found["MEANT_FOR_A_PLUGIN"] == value and found["OMP_NUM_THREADS"] == "1"
        assert found.get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def test_a_worker_that_grows_is_not_replaced(tmp_path):
    """As one whose second cell is of a larger method; loky takes 300 MB for a leak."""
    text = (
        "from pa_difc.training.ready import worker_process\n"
        "grow = \"vars(__import__('builtins')).setdefault('grown', b'x' * 400_000_000)\"\n"
        "grow += \" and __import__('time').sleep(1.1)\"\n"
        "pool = worker_process()\n"
        "asked = [f\"({code}, __import__('os').getpid())[1]\" for code in ('1', grow, grow, '1')]\n"
        "print(len({pool.submit(eval, code).result() for code in asked}))\npool.shutdown()\n"
    )
    done = script(tmp_path, text)
    assert done.stdout == "1\n" and not done.stderr, done.stdout + done.stderr


def test_a_long_temporary_folder_holds_no_socket_and_hinders_nobody(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    first, second = json.loads(script(tmp_path).stdout.splitlines()[-1])
    assert first[1] == second[1] and first[3]


def test_where_there_can_be_no_sockets_workers_import_for_themselves(monkeypatch):
    from pa_difc.data.prepare.work import worker_context
    from pa_difc.training.ready import workers_context

    def refused():
        raise PermissionError("no sockets here")

    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", refused)
    assert workers_context() is None
    assert worker_context("cpu").get_start_method() == "spawn"


def test_a_command_that_fails_at_once_leaves_nothing_that_keeps_its_output_open(tmp_path):
    text = "from pa_difc.training.team import Team\nTeam(2).get_ready()\nimport multiprocessing.forkserver as f\n"
    text += "print(f._forkserver._forkserver_pid, flush=True)\nraise SystemExit(3)\n"
    began = time.monotonic()
    done = script(tmp_path, text)
    assert done.returncode == 3 and not done.stderr
    assert not Path(f"/proc/{done.stdout.strip()}/fd/1").exists()
    assert time.monotonic() - began < 60


def test_a_cluster_or_one_core_gets_nothing_ready(monkeypatch):
    from pa_difc.training import ready
    from pa_difc.training.team import Team

    monkeypatch.setattr(ready, "workers_context", lambda: begun.append(1))
    for team, cores, expected in (
        (Team(2), 1, 1), (Team(), 4, 1), (Team(), 1, 0), (Team(3, cluster="tcp://there:1"), 4, 0),
    ):  # fmt: skip
        begun = []
        monkeypatch.setattr("loky.cpu_count", lambda cores=cores: cores)
        team.get_ready()
        assert len(begun) == expected, team


def test_elsewhere_workers_import_for_themselves(monkeypatch):
    """The way of macOS and Windows gives the same answers."""
    from pa_difc.training.ready import worker_process

    monkeypatch.setattr(sys, "platform", "darwin")
    pool = worker_process()
    try:
        code = "[*__import__('sys').modules], __import__('os').environ['OMP_NUM_THREADS']"
        modules, threads = pool.submit(eval, code).result()
    finally:
        pool.shutdown()
    assert "torch" not in modules and threads == "1"


def test_a_daemonic_process_says_that_it_has_no_workers(tmp_path):
    text = (
        "import multiprocessing\nfrom pa_difc.training.ready import usable_cores, worker_process\n"
        "from pa_difc.commands.console import exit_with\n"
        "def work():\n    exit_with(lambda: usable_cores() - 1 or worker_process())\n"
        "p = multiprocessing.get_context('fork').Process(target=work, daemon=True)\np.start()\np.join()\n"
        "print(p.exitcode)\n"
    )
    done = script(tmp_path, text)
    assert done.stdout == "2\n", done.stdout + done.stderr
    assert done.stderr == "error: this is a daemonic process, which can't have workers: leave out --jobs\n"


def test_a_child_that_ends_ends_what_its_workers_are_forked_from(tmp_path):
    """Without the interpreter's end, where ``atexit`` is heard."""
    text = (
        "import multiprocessing, multiprocessing.forkserver as f\nfrom pa_difc.training.ready import workers_context\n"
        "def work():\n    workers_context()\n    print(f._forkserver._forkserver_pid, flush=True)\n"
        "p = multiprocessing.get_context('fork').Process(target=work)\np.start()\np.join()\n"
    )
    done = script(tmp_path, text)
    assert not Path(f"/proc/{int(done.stdout)}/fd/1").exists()


def test_a_server_that_is_gone_is_a_broken_executor(monkeypatch):
    """So that a cell is tried again, and its failure has one line."""
    from concurrent.futures import BrokenExecutor
    from multiprocessing.context import ForkServerProcess

    from pa_difc.training.ready import worker_process

    def gone(process):
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(ForkServerProcess, "_Popen", staticmethod(gone))
    pool = worker_process()
    with pytest.raises(BrokenExecutor, match="has ended"):
        pool.submit(print)
