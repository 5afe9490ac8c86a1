"""A study whose worker is killed at any of its storage's calls goes on, ends, and has all its trials."""

import re
import sys
import tempfile
from pathlib import Path

import kills
import pytest

#: Where files need no disk: a killed process loses nothing that is in memory only.
MEMORY = Path("/dev/shm")


def kill(url, step, first=1):
    """Runs kills.py in a child of this process, which has imported all; returns the number of calls it killed at."""
    with tempfile.NamedTemporaryFile("r") as file:
        status = kills.wait(kills.fork(lambda: sys.exit(kills.main(url, step, first)), file.name), 7000)
        said = file.read()
    print(said)
    tried, lost = map(int, re.search(r"killed at (\d+) calls, (\d+) studies lost", said).groups())
    assert status == 0 and lost == 0, said
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
