"""Commands as real processes."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.training.ready import workers_context

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


def here(*words):
    """As :func:`run`, of a command in this process: where its lines and files matter, and not that it is one."""
    words, out, err = [str(word) for word in words], io.StringIO(), io.StringIO()
    said = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with mock.patch.object(sys, "argv", ["pa-difc", *words]), said[0], said[1]:
        try:
            exit_with(lambda: main(words))
        except SystemExit as stop:
            return stop.code or 0, out.getvalue(), err.getvalue()


def apart(*words, cwd=None):
    """As :func:`here`, in a child of this process, which has imported all: plugins and folders leave no trace here.

    All of these children have their workers forked from the same process.
    """
    if "--jobs" in words:
        workers_context()
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            os.chdir(cwd or ".")
            server = forkserver._forkserver  # it isn't this process's child, which can't look after it
            forkserver.ensure_running = server.ensure_running = lambda: None
            result = (99, "", "")
            try:
                result = here(*words)
            except BaseException:
                result = (99, "", traceback.format_exc())
            finally:
                said.write(json.dumps(result).encode())
                said.flush()
                os._exit(0)
        os.waitpid(pid, 0)
        said.seek(0)
        return tuple(json.loads(said.read()))
