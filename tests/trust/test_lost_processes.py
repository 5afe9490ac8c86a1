"""Two processes on one run, one of which is killed, paused or lost: the other ends in a stated time, in a line."""

import os
import signal
import socket
import time

import pytest
import torch
from processes import start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: A plugin that has a process wait for 20 s in the place of an hour.
IMPATIENT = """
from datetime import timedelta
import pa_difc.util.distributed as distributed

distributed._PATIENCE = timedelta(seconds=20)
distributed._STOP_S = 3.0
"""


@pytest.fixture
def two(pair, tmp_path, monkeypatch):
    """Two processes that have written a checkpoint."""
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--method", "mcd", "--epochs", "100000", "--set", "crop_px=32", "batch_size=16"]
    words += ["--out", tmp_path / "out", "--plugin", tmp_path / "impatient.py"]
    both = []
    for rank in range(2):
        said = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in said.items():
            monkeypatch.setenv(name, str(value))
        both.append(start("-m", "pa_difc", "train", *pair, *words))
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("out/runs/*/checkpoint.pt")):
        assert time.monotonic() < deadline and all(p.poll() is None for p in both), [p.communicate() for p in both]
        time.sleep(0.02)
    yield both
    for process in both:
        if process.poll() is None:
            process.kill()
            process.communicate()


def end_of(process, seconds):
    _, err = process.communicate(timeout=seconds)
    lines = [line for line in err.splitlines() if line.startswith(("error: ", "stopped"))]
    assert "Traceback" not in err and len(lines) == 1, err
    return process.returncode, lines[0]


def checkpoint_is_whole(tmp_path):
    (path,) = tmp_path.glob("out/runs/*/checkpoint.pt")
    return torch.load(path, weights_only=True)["epoch"] >= 1


@pytest.mark.parametrize(("number", "which"), [(signal.SIGKILL, 1), (signal.SIGKILL, 0), (signal.SIGSTOP, 1)])
def test_one_is_killed_or_paused(number, which, two, tmp_path):
    two[which].send_signal(number)
    code, line = end_of(two[1 - which], 200)
    assert code == 2 and "another of the 2 processes is gone, or silent for" in line
    assert checkpoint_is_whole(tmp_path)
    if number == signal.SIGSTOP:
        os.kill(two[which].pid, signal.SIGCONT)
        assert end_of(two[which], 200)[0] == 2


def test_one_that_waits_for_a_paused_one_can_be_stopped(two, tmp_path):
    two[1].send_signal(signal.SIGSTOP)
    time.sleep(1)
    two[0].send_signal(signal.SIGTERM)
    code, line = end_of(two[0], 100)
    assert code == 143 and line.startswith("stopped")
    assert checkpoint_is_whole(tmp_path)
