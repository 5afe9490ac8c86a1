"""What is left of a grid that is killed, or stopped by an impatient Ctrl-C: no lock files, no noise on the terminal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT, alive
from rare import slow
from test_commands import flags
from test_jobs import COMMAND, GRID, LONG_S, until, workers_of

from pa_difc.util.lock import LOCK, OWNER

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")


def heed_ctrl_c():
    """The background jobs of some shells ignore it, and so do their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*words):
    """A Python process with its own process group, whose warnings are shown as to a user."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)} | {"PYTHONWARNINGS": "default::UserWarning"},
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )


@pytest.fixture
def training(data_root, tmp_path):
    """A command with two workers that train, and its folder."""
    out = tmp_path / "out"
    process = start(*COMMAND, *flags(data_root, out), *GRID, "--epochs", "100000", "--jobs", "2")
    until(lambda: len(list(out.glob("runs/*/checkpoint.pt"))) == 2, process)
    yield process, out
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def locks(out):
    return [path for path in out.rglob(".*") if path.name in (LOCK, OWNER)]


def test_a_killed_command_leaves_no_locks_and_its_helpers_say_nothing(training):
    process, out = training
    workers = workers_of(process.pid)
    assert len(workers) == 2 and locks(out)
    process.kill()
    _, err = process.communicate(timeout=LONG_S)
    until(lambda: not any(map(alive, workers)))
    assert not locks(out) and "resource_tracker" not in err and "Traceback" not in err, err


@pytest.mark.parametrize("gap", [0.02, *slow(0.4)])
def test_three_times_ctrl_c_leave_no_locks_and_no_noise(gap, training):
    process, out = training
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(gap)
    said, err = process.communicate(timeout=LONG_S)
    assert err == "stopped; 0 of 4 runs are done and kept.\n"
    assert process.returncode == 130 and "\nresume with: " in said
    assert not locks(out)


def test_ctrl_c_while_the_interpreter_ends_is_too_late():
    script = (
        "import atexit, os, signal, time\n"
        "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(0.1)))\n"
        "from pa_difc.commands.console import exit_with\n"
        "exit_with(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
    )
    process = start("-c", script)
    _, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 130 and err.count("\n") == 1 and err.startswith("stopped. "), err
