"""A process that has imported everything, from which :mod:`processes` has commands forked.

Each command is a process of its own, with its environment, folder, standard streams and signals, and it ends as an
interpreter does: only the time of its imports is saved. Its parent waits for it and tells how it ended.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import tempfile

#: Imported late, inside functions of the package or of its dependencies.
LATE = ("matplotlib.figure", "matplotlib.backends.backend_svg", "optuna", "sqlalchemy", "torchvision")
#: Imports that start or change something: Dask's handles signals.
NOT_HERE = ("on_cluster", "use_onnx", "__main__")


def import_all():
    sys.modules["triton"] = None  # once frozen, it would complain of leaks at the end
    import pa_difc

    names = [found.name for found in pkgutil.walk_packages(pa_difc.__path__, "pa_difc.")]
    for name in [*LATE, *(name for name in names if name.rpartition(".")[2] not in NOT_HERE)]:
        try:
            importlib.import_module(name)
        except ImportError:  # an extra is not installed
            continue


def next_command(asked):
    """Waits for commands; returns in the process of each, with what was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while said := socket.recv_fds(asked, 1 << 18, 3):
        request, files = said[:2]
        if not request:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked.close()
            out, err, status = files
            pid = os.fork()
            if pid == 0:
                os.close(status)
                return json.loads(request), out, err
            os.close(out)
            os.close(err)
            os.write(status, b"%d\n" % pid)
            os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os._exit(0)
        for file in files:
            os.close(file)


def become(request, out, err):
    """Makes this process the one that was asked for."""
    for file, number in ((out, 1), (err, 2)):
        os.dup2(file, number)
        os.close(file)
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # it follows from the environment
    sys.argv = list(request["words"])
    sys.orig_argv = [sys.executable, "-W", "ignore", *sys.argv]


if __name__ == "__main__":
    import_all()
    gc.freeze()  # what is shared by all need not be looked through, and copied, by each
    become(*next_command(socket.socket(fileno=int(sys.argv[1]))))
    if sys.argv[0] == "-m":
        module = sys.argv.pop(1)
        sys.path[0] = os.getcwd()
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(sys.argv[0])
        runpy.run_path(sys.argv[0], run_name="__main__")
