"""Whatever a cell of a grid does, the others finish: a plugin's methods that fail in every way at their third step."""

import re

import pytest
from processes import start
from test_commands import flags, table

pytestmark = pytest.mark.timeout(1500)  # five workers are started

PLUGIN = """
import os
import resource
import signal
import sys

import torch

from pa_difc import METHODS, PenaltyMethod


class Failing(PenaltyMethod):
    about = "fails"
    loss_name = "failing_loss"
    steps = 0

    def penalty(self, step):
        self.steps += 1
        nothing = step.src_features.sum() * 0
        return nothing if self.steps < 3 else self.fail(nothing)


def method(fail):
    METHODS.register(fail.__name__, type(fail.__name__, (Failing,), {"fail": fail, "__module__": __name__}))


@method
def raising(self, nothing):
    raise LookupError("first\\nlast")


@method
def nan(self, nothing):
    return nothing + float("nan")


@method
def exiting(self, nothing):
    sys.exit("that is it")


@method
def killed(self, nothing):
    os.kill(os.getpid(), signal.SIGKILL)


@method
def eating(self, nothing):
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, before[1]))  # the test's machine has other work
    kept = []
    try:
        while True:
            kept.append(torch.ones(2**28))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
"""
FAILING = ("raising", "nan", "exiting", "killed", "eating")


def test_the_others_finish_and_each_failure_has_a_line_and_a_file(data_root, tmp_path):
    (tmp_path / "failing.py").write_text(PLUGIN)
    grid = ["--methods", *FAILING, "source_only", "--losses", "ce", "--epochs", "1", "--jobs", "2"]
    given = [*flags(data_root, tmp_path / "out"), *grid, "--plugin", str(tmp_path / "failing.py")]
    process = start("-m", "pa_difc", "compare", *given)
    said, err = process.communicate(timeout=1000)
    assert process.returncode == 1, err
    lines = {line.split(": ")[1]: line for line in err.splitlines()}
    assert set(lines) == {f"{name} · ce" for name in FAILING} and len(err.splitlines()) == len(FAILING), err
    for name in FAILING:
        (file,) = (tmp_path / "out" / "failed").glob(f"{name}-*.txt")
        assert lines[f"{name} · ce"].endswith(f" ({file})") == (name != "nan"), err  # of which the line says all
        assert ("in " + name in file.read_text()) == (name in ("raising", "exiting", "eating"))
    assert "LookupError: last" in lines["raising · ce"] and "that is it" in lines["exiting · ce"]
    assert "killed 3 times" in lines["killed · ce"] and "memory" in lines["eating · ce"]
    diverged = "failed: nan · ce: total_loss/total is nan at step 3 of epoch 1. Lower --set lr (now 0.02)"
    assert lines["nan · ce"] == diverged
    assert [row["method"] for row in table(tmp_path / "out")] == ["source_only"]
    ended = re.findall(r"(?m)^(\d)/6  (\w+) · ce +(accuracy|failed)", said)
    assert [number for number, *_ in ended] == list("123456")  # how many have ended by then, in whatever order
    assert {name: end for _, name, end in ended} == dict.fromkeys(FAILING, "failed") | {"source_only": "accuracy"}
    assert "Traceback" not in said + err
