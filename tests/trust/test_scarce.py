"""Little shared memory, a folder that may not be written, workers of prepare that the system kills."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from damage import TRAIN, command, refused
from faults import mounted
from processes import ROOT, start
from rare import slow
from work import many_pictures

pytestmark = pytest.mark.timeout(900)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(pair, tmp_path):
    tmp_path.chmod(0o500)
    code, _, err = command("train", *pair, *TRAIN, "--out", tmp_path / "out")
    tmp_path.chmod(0o700)
    assert refused(code, err) and "cannot write" in err


def test_a_read_only_disk(pair, tmp_path):
    """A mount, as of a share that went bad: root can't write there either."""
    with mounted(tmp_path / "disk", "ro,size=1m") as disk:
        for words in (
            ["train", *pair, *TRAIN, "--out", disk / "out"],
            ["compare", *pair, "--methods", "source_only", "--losses", "ce", "--out", disk],
        ):
            code, _, err = command(*words)
            assert refused(code, err) and "cannot write" in err, err


GRID = ["--methods", "source_only", "--losses", "ce", "di", "--epochs", "1", "--jobs", "1"]


@pytest.mark.parametrize(
    ("words", "enough"),
    slow((["train", *TRAIN], True), (["compare", *GRID], False)),
    ids=["train", "compare"],
)
def test_few_open_files(words, enough, pair, tmp_path):
    """As after `ulimit -n 12`: a training needs no more; a grid's workers do, and a line says so."""
    import resource

    process = start(
        *("-m", "pa_difc", *words, *pair, "--out", tmp_path / "out"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12)),
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0 if enough else refused(process.returncode, err), err
    assert enough or "Too many open files" in err


@pytest.mark.slow
@pytest.mark.parametrize("size", ["4k", "64k"])
def test_a_tiny_shared_memory(size, pair, tmp_path):
    """As in a container: workers of a grid need some for their locks, and say so in a line if there is none."""
    inside = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no mounts of one's own here (needs root)")
    grid = ["--methods", "source_only", "--losses", "ce", "di", "--epochs", "1", "--set", "batch_size=64", "crop_px=32"]
    words = [*pair, *grid, "--jobs", "2", "--out", tmp_path / "out"]
    done = subprocess.run(
        [*inside, sys.executable, "-W", "ignore", "-m", "pa_difc", "compare", *map(str, words)],
        capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0 or refused(done.returncode, done.stderr), done.stderr


def children(pid):
    """All processes below one."""
    try:
        found = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*found, *(inner for child in found for inner in children(child))]


def named(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks for processes in /proc")
def test_workers_of_prepare_that_the_system_kills_for_memory(tmp_path):
    """One line, and the same command goes on to the same store."""
    many_pictures(tmp_path / "many", 600)
    given = ["--dataset", "folder:many", "--data-root", tmp_path, "--on-missing", "whole", "--processes", "2"]
    process = start("-m", "pa_difc", "prepare", *given, "--out", tmp_path / "store")
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("store/.part/0*.npz")):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.02)
    worker = next(pid for pid in children(process.pid) if not children(pid) and b"forkserver" in named(pid))
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert refused(process.returncode, err) and "a worker process died" in err, err
    assert command("prepare", *given, "--out", tmp_path / "store")[0] == 0
    assert command("prepare", *given, "--out", tmp_path / "whole")[0] == 0
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "store").iterdir())
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "store" / n).read_bytes() for n in names)
