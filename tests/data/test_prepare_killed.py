"""Preparing a store is killed or interrupted, as a process, and the same command goes on."""

import os
import signal
import time
from pathlib import Path

import pytest
from photographs import content, photographs
from processes import alive, here, start


def children(pid):
    """Processes whose parent is ``pid``."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
        except (OSError, ValueError):
            continue
    return found


COMMAND = ("prepare", "--dataset", "folder:faces")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_at_any_time_the_same_command_gives_the_same_bytes(tmp_path):
    photographs(tmp_path / "faces", n=270)
    whole = here(*COMMAND, "--processes", 1, "--data-root", tmp_path, "--out", tmp_path / "whole")
    assert whole[0] == 0, whole[2]
    out = tmp_path / "killed"
    process = start("-m", "pa_difc", *COMMAND, "--processes", 2, "--data-root", tmp_path, "--out", out)
    deadline = time.monotonic() + 120
    while not list(out.glob(".part/0*.npz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists()
    while any(alive(pid) for pid in workers):  # nobody works on when the command is gone
        assert time.monotonic() < deadline
        time.sleep(0.05)
    code, _, error = here(*COMMAND, "--processes", 1, "--data-root", tmp_path, "--out", out)
    assert code == 0, error
    assert content(out) == content(tmp_path / "whole")
    again = here(*COMMAND, "--processes", 1, "--data-root", tmp_path, "--out", out)
    assert again[0] == 0 and "nothing to do" in again[1]
    assert here("prepare", "--check", out)[1].strip().endswith("whole")


def test_ctrl_c_keeps_what_was_done(tmp_path):
    photographs(tmp_path / "faces", n=300)
    out = tmp_path / "out"
    process = start(
        "-m", "pa_difc", *COMMAND, "--processes", 2, "--data-root", tmp_path, "--out", out, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(out.glob(".part/0*.npz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert process.returncode == 130 and "Resume with the same command" in error and "Traceback" not in error
    assert not (out / "manifest.json").exists() and list(out.glob(".part/0*.npz"))
