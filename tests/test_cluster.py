"""``compare --cluster``: workers of a real dask scheduler, real kills, the same numbers to the bit."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT, alive, apart, start
from test_commands import flags, table
from test_jobs import LONG_S, content, files_of_processes, until
from test_two_commands import witness

distributed = pytest.importorskip("distributed", reason="pip install 'pa-difc[cluster]'")

pytestmark = [
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
    pytest.mark.timeout(1500),
]

COMMAND = ("-m", "pa_difc", "compare")
GRID = ["--methods", "source_only", "dann", "--losses", "ce", "difc", "--epochs", "16"]


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The file of a scheduler with three workers of one thread, in a folder that is not the command's."""
    folder = tmp_path_factory.mktemp("cluster")
    file, log = folder / "scheduler.json", (folder / "log.txt").open("w")
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "3"}

    def begun(*words):
        command = [*dask, *words, "--no-dashboard", "--scheduler-file", file]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)

    processes = [begun("scheduler", "--host", "127.0.0.1", "--port", "0")]
    until(file.exists, None)
    processes.append(begun("worker", "--nworkers", "3", "--nthreads", "1", "--local-directory", folder))
    yield file
    for process in reversed(processes):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    log.close()


@pytest.fixture(scope="module")
def undisturbed(data_root, tmp_path_factory):
    """The grid by one worker of this machine."""
    out = tmp_path_factory.mktemp("undisturbed")
    code, _, err = apart(*COMMAND[2:], *flags(data_root, out), *GRID, "--jobs", "1")
    assert code == 0, err
    return content(out), table(out)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_worker_costs_its_cell_one_try_and_the_numbers_are_the_same(
    data_root, tmp_path, scheduler, undisturbed
):
    plugin, trained = witness(tmp_path)
    out = tmp_path / "out"
    process = start(*COMMAND, *flags(data_root, out), *GRID, *plugin, "--cluster", scheduler)
    until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
    first = int(trained()[0][1])
    os.kill(parent_of(first), signal.SIGKILL)  # the cluster's worker
    until(lambda: not alive(first), process)  # whose process ends with it
    until(lambda: any(alive(int(pid)) for _, pid in trained()), process)
    os.kill(next(int(pid) for _, pid in trained() if alive(int(pid))), signal.SIGKILL)  # the process of another one
    said, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, err
    lost = [line for line in said.splitlines() if line.endswith("its worker was killed; retrying")]
    assert len(lost) == 2
    assert len([line for line in said.splitlines() if re.match(r"[1-4]/4 .* accuracy ", line)]) == 4
    assert len(trained()) == 6 and len({cell for cell, _ in trained()}) == 4
    found = content(out)
    assert found == undisturbed[0] and table(out) == undisturbed[1]
    assert {threads for *_, threads, _, _ in found.values()} == {1}
    assert not list(out.rglob(".*")) and not (out / "failed").exists()
    record = json.loads(next(out.glob("runs/*/record.json")).read_text())
    assert record["command"].startswith("python -m pa_difc compare --source folder:bright")


@pytest.mark.slow
def test_stopped_or_killed_the_same_command_goes_on(data_root, tmp_path, scheduler, undisturbed):
    plugin, trained = witness(tmp_path)
    out = tmp_path / "out"
    given = [*flags(data_root, out), *GRID, *plugin, "--jobs", "1", "--cluster", str(scheduler)]
    for stop in (signal.SIGTERM, signal.SIGKILL):
        before = set(out.glob("runs/*/checkpoint.pt"))
        process = start(*COMMAND, *given)
        until(lambda before=before: set(out.glob("runs/*/checkpoint.pt")) - before, process)
        process.send_signal(stop)
        said, err = process.communicate(timeout=LONG_S)
        until(lambda: not any(alive(int(pid)) for _, pid in trained()))
        if stop == signal.SIGTERM:
            assert process.returncode == 143 and "Traceback" not in err, err
            assert re.search(r"stopped; [0-3] of 4 runs are done and kept\.\n$", err)
            assert f"resume with: {sys.executable} -m pa_difc compare {' '.join(given)}" in said.replace("'", "")
            assert not files_of_processes(out) and not list(out.glob(".workers"))
    assert list(out.glob(".workers/*"))
    code, _, err = apart(*COMMAND[2:], *given)
    assert code == 0, err
    assert content(out) == undisturbed[0]
    assert not list(out.rglob(".*"))


def test_one_line_where_there_is_no_scheduler(data_root, tmp_path, monkeypatch, capsys):
    from pa_difc.commands.parser import main
    from pa_difc.training import cluster
    from pa_difc.util.errors import UserError

    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    given = ["compare", *flags(data_root, tmp_path / "out"), "--methods", "source_only", "--epochs", "1", "--cluster"]
    with pytest.raises(UserError, match=r"^--cluster tcp://127\.0\.0\.1:1: no scheduler answers there \(.*\)$"):
        main([*given, "tcp://127.0.0.1:1"])
    with pytest.raises(UserError, match=r"^--cluster no\.json: no such file; must be a scheduler's address, such"):
        main([*given, "no.json"])
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"^--cluster needs dask's scheduler: pip install 'pa-difc\[cluster\]'$"):
        main([*given, "tcp://127.0.0.1:1"])
    assert not list((tmp_path / "out").glob(".*"))
