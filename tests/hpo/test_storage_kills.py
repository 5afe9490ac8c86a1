"""A study whose worker is killed at any of its storage's calls goes on, ends, and has all its trials."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from processes import ROOT

#: Where files need no disk: a killed process loses nothing that is in memory only.
MEMORY = Path("/dev/shm")


def kill(url, step, first=1):
    """Runs kills.py; returns the number of calls that it killed at."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "hpo" / "kills.py"), url, str(step), str(first)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout)
    tried, lost = map(int, re.search(r"killed at (\d+) calls, (\d+) studies lost", done.stdout).groups())
    assert done.returncode == lost == 0, done.stdout + done.stderr
    return tried


@pytest.fixture
def folder(tmp_path):
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as folder:
        yield folder


def files(folder):
    return [f"sqlite:///{folder}/{{n}}.db", f"journal:{folder}/{{n}}.log"]


@pytest.mark.parametrize("kind", [0, 1], ids=["sqlite", "journal"])
def test_some_calls_in_files(folder, kind):
    assert kill(files(folder)[kind], step=43, first=20) >= 3


def test_some_calls_in_a_database(postgres):
    assert kill(postgres, step=61, first=30) >= 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", [0, 1], ids=["sqlite", "journal"])
def test_every_call_in_files(folder, kind):
    assert kill(files(folder)[kind], step=1) > 100


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_call_in_a_database(postgres):
    assert kill(postgres, step=1) > 100
