"""The n-th change of a folder's files fails, or kills: every call that writes, makes, moves or removes is counted.

``with_fault(n, fault, folder)`` works in this process, and so on whatever is called in it; ``folder`` limits it to
files below. Without a fault it counts, too: ``Counter.done`` says how many such calls there were.
"""

import builtins
import errno
import io
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from unittest import mock

import pytest

#: Functions of ``os`` and where among their arguments the path or descriptor is.
CALLS = {"mkdir": 0, "replace": 1, "rename": 1, "fsync": 0, "ftruncate": 0, "truncate": 0, "link": 1, "symlink": 1}
#: They need no room, so that a full disk does not stop them; a kill does.
FREEING = {"unlink": 0, "remove": 0, "rmdir": 0}
#: Where Python 3.10's paths keep the functions that they found when they were imported.
OF_PATHS = [pathlib._normal_accessor] if hasattr(pathlib, "_normal_accessor") else []


def full(where):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(where) if not isinstance(where, int) else None)


def kill(where):
    os.kill(os.getpid(), signal.SIGKILL)


class Counter:
    """Counts; at the n-th call it has its fault."""

    def __init__(self, n, fault, folder):
        self.done, self.n, self.fault, self.folder = 0, n, fault, os.path.realpath(folder)

    def concerns(self, where):
        try:
            path = os.readlink(f"/proc/self/fd/{where}") if isinstance(where, int) else os.path.abspath(where)
        except OSError:
            return False
        return os.fsdecode(path).startswith(self.folder)

    def met(self, where):
        if self.concerns(where):
            self.done += 1
            if self.done == self.n:
                self.fault(where)


class File(io.FileIO):
    """A file that is opened for writing, each write of which is counted."""

    def __init__(self, file, mode, counter, opener=None):
        super().__init__(file, mode, opener=opener)
        self._counter = counter

    def write(self, data):
        self._counter.met(self.fileno())
        return super().write(data)

    def truncate(self, size=None):
        self._counter.met(self.fileno())
        return super().truncate(size)


def opening(original, counter):
    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
        if not set(mode) & set("wax+") or not closefd or isinstance(file, int):
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not counter.concerns(file):
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        counter.met(file)  # a new file takes a place in its folder
        raw = File(file, mode.replace("b", "").replace("t", ""), counter, opener)
        if buffering == 0:
            return raw
        stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)

    return opened


@contextmanager
def with_fault(n, fault, folder):
    """Within the block the ``n``-th change below ``folder`` has ``fault``; 0 for none."""
    counter = Counter(n, fault, folder)
    calls = CALLS | (FREEING if fault is kill else {})

    def counted(name, place):
        original = getattr(os, name)

        def wrapper(*args, **kwargs):
            counter.met(args[place])
            return original(*args, **kwargs)

        return [mock.patch.object(owner, name, wrapper) for owner in (os, *OF_PATHS) if hasattr(owner, name)]

    patches = [patch for name, place in calls.items() for patch in counted(name, place)]
    opened = opening(io.open, counter)
    patches += [mock.patch.object(owner, "open", opened) for owner in (io, builtins, *OF_PATHS)]
    patches += [mock.patch.object(tempfile._io, "open", opened)]
    # NumPy would write files by a descriptor of its own.
    patches += [mock.patch("numpy.lib.format.isfileobj", lambda file: False, create=True)]
    patches += [mock.patch("numpy.lib._format_impl.isfileobj", lambda file: False)] if _new_numpy() else []
    for patch in patches:
        patch.start()
    try:
        yield counter
    finally:
        for patch in reversed(patches):
            patch.stop()


def _new_numpy():
    import numpy as np

    return hasattr(np.lib, "_format_impl")


class InTurn:
    """An executor that is this process, in the place of a pool of others."""

    def __init__(self, *_):
        from pa_difc.data.prepare.work import start_worker
        from pa_difc.util.stops import SIGNALS

        before = {number: signal.getsignal(number) for number in SIGNALS}
        start_worker("cpu", 64)
        for number, handler in before.items():  # which a worker leaves to its parent
            signal.signal(number, handler)

    def submit(self, function, *args):
        from concurrent.futures import Future

        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_):
        pass


@contextmanager
def mounted(disk, options):
    """A tmpfs in a new folder while the block runs; skips the test where this process may not mount one."""
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a tmpfs can't be mounted here (needs root)")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # a study that was read holds its file open
