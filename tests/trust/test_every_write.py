"""A disk that is full at the n-th write of a command, and a kill at it, for every n: nothing is lost by either.

The slow tests try every n and say how many they were; the others a few.
"""

import os
import shutil
import signal

import numpy as np
import pytest
from damage import TRAIN, command, refused
from faults import InTurn, full, kill, with_fault
from work import SMALL, files

from pa_difc.data.prepare import run as prepare_run

#: Of the values of n, the default suite tries so many.
SAMPLED = 5


def compare(root, out, pair):
    grid = ["--methods", "source_only", "--losses", "ce", "di", "--epochs", "1"]
    return ["compare", *pair, *grid, "--out", out, *SMALL]


def prepare(root, out, pair):
    given = ["--on-missing", "whole", "--detect-px", "64", "--processes", "1"]
    return ["prepare", "--dataset", "folder:many", "--data-root", root, "--out", out, *given]


def predict(root, out, pair):
    where = ["--out", out / "predictions.csv", "--annotate", out / "drawn"]
    return ["predict", "--model", root / "model", root / "album", "--crop", "none", *where]


def export(root, out, pair):
    return ["export", "--model", root / "grid" / "runs" / os.listdir(root / "grid" / "runs")[0], "--out", out]


def report(root, out, pair):
    return ["report", root / "grid", "--out", out, "--latex"]


def train(root, out, pair):
    return ["train", *pair, *TRAIN, "--out", out]


KINDS = {f.__name__: f for f in (train, compare, prepare, predict, export, report)}

#: What tells one run of the same command from another, and no more: times.
TIMELY = ("record.json", "log.jsonl", "checkpoint.pt")


def result(out):
    """Every file to the byte; records, tables and checkpoints to the bit but for times."""
    import csv
    import io
    import json

    import torch

    found = files(out)
    for name, data in list(found.items()):
        if name.endswith("record.json"):
            record = json.loads(data)
            history = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in record["history"]]
            found[name] = {k: v for k, v in record.items() if k in ("scores", "settings", "identity", "key")}, history
        elif name.endswith("log.jsonl"):
            found[name] = len(data.splitlines())
        elif name.endswith("checkpoint.pt"):
            models = torch.load(io.BytesIO(data), weights_only=True)["models"]
            found[name] = {f"{m}.{k}": v.tolist() for m, state in models.items() for k, v in state.items()}
        elif name.endswith("outputs.npz"):
            with np.load(io.BytesIO(data)) as arrays:
                found[name] = {k: arrays[k].tolist() for k in arrays.files}
        elif name.endswith("table.csv"):
            rows = csv.DictReader(io.StringIO(data.decode()))
            found[name] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
        elif name.endswith(("table.md", "command.txt")):
            found[name] = True
    return found


def forked(work):
    """What a child of this process ends with: an exit code, or minus a signal; 99 for an exception."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Attack:
    """One kind of work with one fault at each of its writes."""

    def __init__(self, name, fault, root, pair, folder, monkeypatch):
        monkeypatch.setattr(prepare_run, "ProcessPoolExecutor", InTurn)
        self.fault, self.folder = fault, folder
        self.make = lambda out: KINDS[name](root, out, pair)
        whole = folder / "whole"
        whole.mkdir()  # as a user may have made it
        with with_fault(0, fault, whole) as counter:
            code, _, err = command(*self.make(whole))
        assert code == 0, err
        self.expected, self.total = result(whole), counter.done

    def attempt(self, n):
        """A fault at the ``n``-th write, and then the same command without one."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        (out.parent / "mine.txt").write_text("mine")

        def work():
            with with_fault(n, self.fault, out) as counter:
                code, _, err = command(*self.make(out))
            told = refused(code, err) or (code == 2 and all(x.startswith("failed: ") for x in err.splitlines()))
            if counter.done < n:
                return 97
            return 2 if told else 0 if code == 0 else 98

        status = forked(work)
        if self.fault is kill:
            assert status == -signal.SIGKILL, (n, status)
        else:  # what is only there to be read by others, such as who holds a lock, may be missing
            assert status in (0, 2), (n, status)
        code, _, err = command(*self.make(out))
        assert code == 0, (n, err)
        assert result(out) == self.expected, n
        assert (out.parent / "mine.txt").read_text() == "mine"
        return status


@pytest.mark.parametrize("fault", [full, kill])
@pytest.mark.parametrize("name", ["export", "predict", "prepare"])
def test_some_writes(name, fault, workplace, pair, tmp_path, monkeypatch):
    attack = Attack(name, fault, workplace, pair, tmp_path, monkeypatch)
    assert attack.total > 10
    tried = {attack.attempt(int(n)) for n in np.linspace(1, attack.total, SAMPLED)}
    assert tried & {2, -signal.SIGKILL}


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", [full, kill])
@pytest.mark.parametrize("name", KINDS)
def test_every_write(name, fault, workplace, pair, tmp_path, monkeypatch, capsys):
    attack = Attack(name, fault, workplace, pair, tmp_path, monkeypatch)
    ends = [attack.attempt(n) for n in range(1, attack.total + 1)]
    stopped = sum(end != 0 for end in ends)
    with capsys.disabled():
        print(f"\n{name}, {fault.__name__}: {len(ends)} writes tried, {stopped} stopped the command, 0 lost")
    assert stopped
