"""Kills a study at its storage calls, one after the other: `python kills.py URL [STEP]`; see test_storage_kills.py.

For each n a process runs a study of cheap trials and kills itself at its n-th call of the storage; another then gives
the same command undisturbed, and has to end in time with all trials.
"""

import importlib
import inspect
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import optuna
from optuna.storages import GrpcStorageProxy, JournalStorage, RDBStorage

from pa_difc.tuning.storage import open_storage
from pa_difc.tuning.study import open_study
from pa_difc.tuning.trials import run_trials
from pa_difc.tuning.workers import Worker

#: What optuna imports late: a process that is forked has it already.
for module in ("alembic.command", "alembic.migration", "alembic.script", "optuna.storages._rdb.models", "psycopg2"):
    importlib.import_module(module)

BUDGET, HEARTBEAT_S, LIMIT_S = 3, 1, 45


def objective(trial, check=None):
    x = trial.suggest_float("x", 0, 1)
    y = trial.suggest_float("y", 0, 1)
    trial.report(x, 1)
    trial.set_user_attr("kept", [x, y])
    trial.set_constraint("source", -1.0)
    return x - y


#: The values of trial 0.
DEFAULTS = {"x": 0.5, "y": 0.25}


def study_of(url, name, folder, budget=BUDGET, what=objective, gate=lambda: None):
    """A worker from its begin to its end; its first trial comes after the gate."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    storage = open_storage(url)
    with Worker(folder) as worker:
        study = open_study(storage, name, {"a": 1}, sampler="tpe", pruner="none", seed=0, must_exist=False)
        gate()
        run_trials(study, what, DEFAULTS, budget, worker, heartbeat_s=HEARTBEAT_S)
    return study


def fork(job, said=os.devnull):
    """Runs a job in a process of its own: it has imported everything already."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        job()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid, seconds=LIMIT_S):
    """A process's exit status; None if it is not done in time, and killed then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def kill_at(n):
    """From now on the n-th call of a storage, whoever makes it, is this process's last."""
    calls = Counter()

    def deadly(method):
        def call(self, *args, **kwargs):
            calls["all"] += 1
            if calls["all"] == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(self, *args, **kwargs)

        return call

    for kind in (RDBStorage, JournalStorage, GrpcStorageProxy):
        for name, method in list(vars(kind).items()):
            if inspect.isfunction(method) and not name.startswith("__"):
                setattr(kind, name, deadly(method))


def complaints(url, name, status, said):
    """What is wrong with a study after the undisturbed command; reads it in a process of its own."""

    def look():
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        storage = open_storage(url)
        trials = optuna.load_study(study_name=name, storage=storage).trials
        states = Counter(t.state.name for t in trials)
        assert states["COMPLETE"] == BUDGET, states
        assert not states["RUNNING"] and not states["WAITING"], states
        done = [t for t in trials if t.state.name == "COMPLETE"]
        assert all(t.user_attrs["kept"] == [t.params["x"], t.params["y"]] for t in done)
        assert len({t.params["x"] for t in done}) == BUDGET, "values were tried twice"
        own = [t for t in done if t.params == DEFAULTS]
        assert [t.user_attrs.get("origin") for t in own] == ["defaults"], "the defaults were lost, or trained twice"

    if status != 0:
        return f"exit {status}: {Path(said).read_text()[-600:]}"
    report = f"{said}.look"
    return None if wait(fork(look, report)) == 0 else Path(report).read_text()[-600:]


def main(url, step=1, first=1):
    tried = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        for n in range(first, 10_000, step):
            name, out = f"study-{n}", Path(folder) / str(n)
            own = url.format(n=n)
            killed = wait(fork(lambda n=n, own=own, name=name, out=out: (kill_at(n), study_of(own, name, out))))
            said = f"{folder}/{n}.txt"
            status = wait(fork(lambda own=own, name=name, out=out: study_of(own, name, out), said))
            if wrong := complaints(own, name, status, said):
                lost += 1
                print(f"call {n}: {wrong}", flush=True)
            if killed == 0:  # it came to its end before its n-th call
                break
            tried += 1
            if killed != -signal.SIGKILL:
                print(f"call {n}: the first command ended with {killed}", flush=True)
    print(f"killed at {tried} calls, {lost} studies lost")
    return lost


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1], *map(int, sys.argv[2:]))))
