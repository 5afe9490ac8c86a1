"""Commands as real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-W", "ignore"]


def listen_to_ctrl_c():
    """A shell's background jobs ignore SIGINT, and so would what the tests start from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(script, *arguments, preexec_fn=None, **kwargs):
    """A script of the repository, or "-m" and a module; ``preexec_fn`` is called in the new process before it."""

    def prepare():
        listen_to_ctrl_c()
        if preexec_fn:
            preexec_fn()

    return subprocess.Popen(
        [*PYTHON, script if script == "-m" else str(ROOT / script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=prepare,
        **kwargs,
    )


def run(script, *arguments, **kwargs):
    process = start(script, *arguments, **kwargs)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err
