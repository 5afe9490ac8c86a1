"""Commands as real processes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-W", "ignore"]


def start(script, *arguments, **kwargs):
    """A script of the repository, or "-m" and a module."""
    return subprocess.Popen(
        [*PYTHON, script if script == "-m" else str(ROOT / script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        **kwargs,
    )


def alive(pid):
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def run(script, *arguments, **kwargs):
    process = start(script, *arguments, **kwargs)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err
