"""make bench's command, as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.growth import SIDE, store_of_zeros
from pa_difc.data.store import open_store

TESTS = Path(__file__).parent.parent


def bench(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
def test_a_section_is_measured_and_written(tmp_path):
    done = bench("mcd", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "benchmarks.json").read_text())["figures"]
    (onestep,) = (f for f in figures if "mcd_onestep" in f["name"])
    assert 0.1 < onestep["value"] < 0.7 and onestep["rounds"] >= 20
    table = (tmp_path / "benchmarks.md").read_text()
    assert table in done.stdout and all(f["name"] in table for f in figures)


@pytest.mark.slow
def test_an_unknown_section_is_refused():
    done = bench("nonsense")
    assert done.returncode == 2 and "unknown section nonsense: must be of difc" in done.stderr


def test_the_store_whose_growth_is_measured_is_one_that_training_reads(tmp_path):
    faces = open_store(store_of_zeros(tmp_path / "100", 100)).splits["train"]
    assert len(faces) == 100 and faces.size_px == SIDE and np.bincount(faces.labels).min() == 14
