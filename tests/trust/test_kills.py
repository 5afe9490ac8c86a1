"""Killed at any moment, or stopped by a full disk, the same command ends with the result of an undisturbed run."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections import Counter

import numpy as np
import pytest
import torch
from damage import command, refused
from faults import mounted
from killed import kill_before
from processes import PYTHON, ROOT, run, start
from work import KINDS, many_pictures, training

from pa_difc.deploy.model import load_model, save_model

#: Moments per kind, twenty in all; each one's place is drawn.
MOMENTS = {"training": 7, "prepare": 5, "study": 4, "export": 4}


@pytest.fixture(scope="module")
def root(data_root, tmp_path_factory):
    """Data for every kind of work, among them a finished run."""
    root = tmp_path_factory.mktemp("root")
    for name in ("bright", "dim"):
        shutil.copytree(data_root / name, root / name)
    many_pictures(root / "many")
    code, _, err = run("-m", "pa_difc", *training(root, root / "out"))
    assert code == 0, err
    next(root.glob("out/runs/*/record.json")).parent.rename(root / "run")
    shutil.rmtree(root / "out")
    return root


class Undisturbed:
    """What each kind of work leaves when nobody disturbs it, how long it takes and how many operations it does."""

    def __init__(self, root, folder):
        self.root, self.folder, self.known = root, folder, {}

    def of(self, kind):
        if kind not in self.known:
            make, result = KINDS[kind]
            out = self.folder / kind
            process = start("tests/trust/killed.py", 0, *make(self.root, out))
            begun = first_sign(process, out)
            _, err = process.communicate(timeout=240)
            assert process.returncode == 0, err
            operations = int(re.search(r"(\d+) operations", err)[1])
            self.known[kind] = result(out), time.monotonic() - begun, operations
        return self.known[kind]


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    return Undisturbed(root, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def tally():
    """Of the kills at random moments; says at the end how many there were."""
    tally = Counter()
    yield tally
    print(f"\nkilled at {tally['killed']} random moments, {tally['killed'] - tally['whole']} lost")


def first_sign(process, out):
    """Waits until a command has begun to write; returns when that was."""
    deadline = time.monotonic() + 120
    while not out.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return time.monotonic()


def kill_somewhere(kind, root, out, rng, seconds, operations):
    """Starts the work and kills it, in turn at a moment of its time and before one of its changes to the disk.

    Returns:
        Whether it was killed before it was done.
    """
    make, _ = KINDS[kind]
    if rng.random() < 0.5:
        process = start("tests/trust/killed.py", int(rng.integers(1, operations + 1)), *make(root, out))
    else:
        process = start("-m", "pa_difc", *make(root, out))
        first_sign(process, out)
        time.sleep(float(rng.random()) * seconds)
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=240)
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind, n in MOMENTS.items() for seed in range(n)])
def test_killed_at_a_random_moment(kind, seed, root, undisturbed, tally, tmp_path):
    expected, seconds, operations = undisturbed.of(kind)
    rng = np.random.default_rng([seed, len(kind)])
    out = tmp_path / "out"
    for _ in range(3):  # a moment that comes after the end is drawn again
        shutil.rmtree(out, ignore_errors=True)
        if kill_somewhere(kind, root, out, rng, seconds, operations):
            break
    else:
        pytest.fail("it was never killed")
    tally["killed"] += 1
    make, result = KINDS[kind]
    code, _, err = run("-m", "pa_difc", *make(root, out))
    assert code == 0, err
    assert result(out) == expected
    assert not [p for p in out.rglob(".*") if p.is_file()]  # nothing is left lying about
    tally["whole"] += 1


def forked(work):
    """What a child of this process ends with: an exit code, or minus a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            code = work()
        except BaseException:
            code = 99
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_an_export_killed_before_every_change_to_the_disk(root, tmp_path):
    """Over another model's folder: what can be read is the old model, the new one, or refused; then it is mended."""
    make, result = KINDS["export"]
    new = make(root, tmp_path / "new")
    assert command(*new)[0] == 0
    other = shutil.copytree(root / "run", tmp_path / "other")
    old = tmp_path / "old"
    assert command("export", "--model", other, "--out", old)[0] == 0
    (old / "README.md").write_text("of another model")
    model = load_model(old)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    save_model(model, old)
    weights = {(tmp_path / name / "model.safetensors").read_bytes(): name for name in ("old", "new")}
    assert len(weights) == 2
    read = set()
    for number in range(1, 100):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(old, out)
        status = forked(lambda out=out, n=number: (kill_before(n), command(*make(root, out))[0])[1])
        code, _, err = command("export", "--model", out, "--out", tmp_path / f"read{number}")
        assert code == 0 or refused(code, err), err
        if code == 0:
            read.add(weights[(tmp_path / f"read{number}" / "model.safetensors").read_bytes()])
        assert command(*make(root, out))[0] == 0 and result(out) == result(tmp_path / "new")
        if status == 0:
            break
        assert status == -signal.SIGKILL
    print(f"\nexport: killed before each of {number - 1} changes to the disk, 0 lost", flush=True)
    assert number > 6 and read == {"old", "new"}


def limited(largest):
    """Files may not grow beyond ``largest`` bytes: what a write meets on a full disk, without one."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))


@pytest.mark.parametrize("largest", [0, 300, 3000, 100_000])
def test_an_export_without_room(largest, root, tmp_path):
    make, result = KINDS["export"]
    out = tmp_path / "out"
    assert command(*make(root, out))[0] == 0
    before = result(out)
    (out / "model.safetensors").unlink()

    def work():
        limited(largest)()
        code, _, err = command(*make(root, out))
        return code if refused(code, err) and "cannot write" in err else 98

    assert forked(work) == 2
    assert {"model.safetensors": before["model.safetensors"], **result(out)} == before  # the others as they were
    assert command(*make(root, out))[0] == 0 and result(out) == before


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["training", "prepare", "study"])
@pytest.mark.parametrize("largest", [0, 2_000, 60_000])
def test_work_without_room(kind, largest, root, undisturbed, tmp_path):
    """One line and exit code 2; what was there stays; with room again the same command ends as if nothing had been."""
    expected, _, _ = undisturbed.of(kind)
    make, result = KINDS[kind]
    out = tmp_path / "out"
    code, _, err = run("-m", "pa_difc", *make(root, out), preexec_fn=limited(largest))
    assert refused(code, err), err
    code, _, err = run("-m", "pa_difc", *make(root, out))
    assert code == 0, err
    assert result(out) == expected


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 megabytes, where this process may mount one."""
    with mounted(tmp_path / "disk", "size=64m") as disk:
        yield disk


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["training", "prepare", "study"])
def test_a_full_disk(kind, root, undisturbed, small_disk):
    expected, _, _ = undisturbed.of(kind)
    make, result = KINDS[kind]
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(bytes(free - 100_000))
    code, _, err = run("-m", "pa_difc", *make(root, small_disk / "out"))
    assert refused(code, err), err
    filler.unlink()
    code, _, err = run("-m", "pa_difc", *make(root, small_disk / "out"))
    assert code == 0, err
    assert result(small_disk / "out") == expected


def test_the_harness_kills(root, tmp_path):
    """Before the third change there is no whole model."""
    make, _ = KINDS["export"]
    command_line = [*PYTHON, str(ROOT / "tests/trust/killed.py"), "3", *map(str, make(root, tmp_path / "out"))]
    done = subprocess.run(command_line, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "out" / "config.json").exists()
