"""The same checks at the desk and in CI."""

import subprocess
import sys

import pytest
from made import OLD_TORCH, ROOT

MYPY = pytest.param(["mypy"], marks=pytest.mark.skipif(OLD_TORCH, reason="mypy reads torch's types"))


@pytest.mark.parametrize("check", [["ruff", "check", "."], ["ruff", "format", "--check", "."], MYPY])
def test_checks(check):
    done = subprocess.run([sys.executable, "-m", *check], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
