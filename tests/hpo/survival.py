"""Workers of a study that something is done to; see test_survival.py. `python survival.py URL` restarts the server.

Workers are forked from a process that has imported everything, and their trials only take time.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import kills
import optuna

from pa_difc.tuning import workers


def slow_trial(seconds):
    """A trial that takes so long, and looks between times whether it is still its own."""

    def objective(trial, check):
        value = kills.objective(trial)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            check()
        return value

    return objective


def ask(url, what, name="s"):
    """Words about each trial, read in a process of its own."""
    with tempfile.NamedTemporaryFile("r") as file:

        def look():
            study = optuna.load_study(study_name=name, storage=kills.open_storage(url, shared=True))
            print(*map(what, study.trials))

        kills.wait(kills.fork(look, file.name))
        return file.read().split()


def states(url):
    return ask(url, lambda trial: trial.state.name)


def complete(url):
    """What was trained: the defaults, or another x."""
    values = ask(url, lambda t: t.state.name == "COMPLETE" and (t.user_attrs.get("origin") or t.params["x"]))
    return [value for value in values if value != "False"]


def begin(url, folder, count, seconds, budget):
    """Starts workers, whose first trials begin at the same time; their processes, and the files of what they say."""
    said = [f"{folder}/{i}.txt" for i in range(count)]

    def gate():
        Path(folder, f"{os.getpid()}.ready").touch()
        while len(list(Path(folder).glob("*.ready"))) < count:
            pass

    job = lambda: kills.study_of(url, "s", Path(folder) / "out", budget, slow_trial(seconds), gate)  # noqa: E731
    return [kills.fork(job, file) for file in said], said


def all_at_work(url, count):
    end = time.monotonic() + 60
    while states(url).count("RUNNING") < count:
        assert time.monotonic() < end
        time.sleep(0.1)


def report(url, pids, said):
    for pid, file in zip(pids, said, strict=True):
        print("exit", kills.wait(pid, 90))
        print(Path(file).read_text(), end="")
    print("complete", *complete(url))
    print("states", *states(url))


def paused(url, folder):
    """One of two is stopped for longer than its beats may be missing, and goes on."""
    pids, said = begin(url, folder, 2, seconds=1.5, budget=4)
    all_at_work(url, 2)
    os.kill(pids[0], signal.SIGSTOP)
    kills.wait(pids[1], 60) == 0 or sys.exit("the other one did not end")
    os.kill(pids[0], signal.SIGCONT)
    report(url, pids[:1], said[:1])
    print(Path(said[1]).read_text())


def killed(url, folder):
    """One of two is killed at work."""
    pids, said = begin(url, folder, 2, seconds=1.5, budget=4)
    all_at_work(url, 2)
    os.kill(pids[0], signal.SIGKILL)
    report(url, pids, said)


def silent(url, folder):
    """One is killed between making its trial and the first beat; the next can't see that, as on another machine."""

    def first():
        workers.Beats.__enter__ = lambda beats: os.kill(os.getpid(), signal.SIGKILL)
        kills.study_of(url, "s", None)

    print("killed", kills.wait(kills.fork(first)), *states(url))
    said = f"{folder}/next.txt"
    report(url, [kills.fork(lambda: kills.study_of(url, "s", None), said)], [said])


def crowd(url, folder):
    """Three begin at once on an empty database."""
    pids, said = begin(url, folder, 3, seconds=0.3, budget=6)
    report(url, pids, said)


def crowd_loses_its_first(url, folder):
    """Of four that begin at once, the one with the defaults is killed; the others see it at the same time."""
    pids, said = begin(url, folder, 4, seconds=1, budget=8)
    worker = ""
    while not worker:
        first = ask(url, lambda t: t.number == 0 and t.params and t.system_attrs.get("worker"))
        worker = first[0] if first and first[0].count("/") else ""
    os.kill(int(worker.rpartition("/")[2].partition("-")[0]), signal.SIGKILL)
    report(url, pids, said)


def restarted(url, folder, stop, start):
    """The server is gone for some seconds, while two are in a trial."""
    pids, said = begin(url, folder, 2, seconds=2, budget=4)
    all_at_work(url, 2)
    stop()
    time.sleep(5)
    start()
    report(url, pids, said)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:

        def order(word):
            print(word, flush=True)
            sys.stdin.readline()

        restarted(sys.argv[1], temporary, lambda: order("stop"), lambda: order("start"))
