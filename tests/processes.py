"""Commands as real processes."""

import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.training.ready import workers_context
from pa_difc.util.files import write_atomic

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-W", "ignore"]


def start(script, *arguments, cwd=None, start_new_session=False, **kwargs):
    """A script of the repository, or "-m" and a module, as a process that a test ends, kills or waits for.

    Of this package and its scripts, it is forked from a process that has imported all. With other arguments of Popen,
    it begins with an interpreter of its own.
    """
    words = [script if script in ("-m", "-c") else str(ROOT / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if not kwargs and (script.endswith(".py") or words[:2] == ["-m", "pa_difc"]):
        return Forked(words, cwd or os.getcwd(), environment, start_new_session)
    return subprocess.Popen(
        [*PYTHON, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=cwd,
        start_new_session=start_new_session,
        **kwargs,
    )


@cache
def _forks():
    """The socket of this process's :mod:`forked`, which ends when it is closed."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*PYTHON, str(ROOT / "tests" / "forked.py"), str(its.fileno())]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}  # as a command's
    subprocess.Popen(command, env=environment, pass_fds=[its.fileno()], start_new_session=True, **streams)
    its.close()
    return ours


class Forked:
    """A command's process, with the part of Popen's interface that tests use."""

    def __init__(self, words, cwd, environment, session):
        self.args, self.returncode = words, None
        request = {"words": words, "cwd": str(cwd), "environment": environment, "session": session}
        pipes = [os.pipe() for _ in range(3)]
        socket.send_fds(_forks(), [json.dumps(request).encode()], [into for _, into in pipes])
        for _, into in pipes:
            os.close(into)
        self.stdout, self.stderr, self._status = (os.fdopen(out, encoding="utf-8") for out, _ in pipes)
        self.pid = int(self._status.readline())

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(self._status.readline())
        return self.returncode

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout=None):
        end = None if timeout is None else time.monotonic() + timeout
        said = {}
        readers = [
            threading.Thread(target=lambda file=file: said.update({file: file.read()}), daemon=True)
            for file in (self.stdout, self.stderr)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0, end - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if end is None else max(0, end - time.monotonic()))
        return said[self.stdout], said[self.stderr]

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()
        for file in (self.stdout, self.stderr, self._status):
            file.close()


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


def killed_while_it_writes(path):
    """Leaves the temporary file of a writer that has ended."""
    if (pid := os.fork()) == 0:
        write_atomic(path, lambda _: os._exit(0))
    os.waitpid(pid, 0)
