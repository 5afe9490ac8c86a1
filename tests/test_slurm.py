"""The page's script for SLURM: on a real one where it is installed, else what it would give to one."""

import builtins
import os
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest
from processes import ROOT, apart, run
from test_commands import flags
from test_jobs import content

if find_spec("dask_jobqueue") is None:
    pytest.skip("pip install dask-jobqueue", allow_module_level=True)

COMMAND = ("-m", "pa_difc", "compare")
GRID = ["--methods", "source_only", "--losses", "ce", "difc", "--epochs", "1"]

#: A machine that says it has more cores and memory than it has; anybody may start it, as nobody is asked who he is.
CONFIGURATION = """
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES State=UP
"""


def script():
    """The page's script."""
    text = (ROOT / "docs" / "many-machines.md").read_text()
    (found,) = re.findall(r"```python\n(from dask_jobqueue.*?)```", text, re.DOTALL)
    return found


@pytest.fixture(scope="module", autouse=True)
def jobqueue():
    """Its import adds defaults to dask's settings, and replaces the handler of Ctrl-C for the whole process."""
    before = signal.getsignal(signal.SIGINT)
    import dask_jobqueue  # noqa: F401

    signal.signal(signal.SIGINT, before)


@pytest.fixture
def settings(tmp_path):
    """What a site's own file says for dask-jobqueue; jobs find this package."""
    import dask

    prologue = [f"export PYTHONPATH={ROOT}", "export OMP_NUM_THREADS=1"]
    more = {"job-script-prologue": prologue, "local-directory": str(tmp_path), "log-directory": str(tmp_path)}
    more |= {"python": sys.executable, "scheduler-options": {"host": "127.0.0.1", "dashboard_address": None}}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in more.items()}):
        yield


def executed(monkeypatch, at_the_end):
    """Runs the script; at its end, where it waits, something is done with what it has made."""
    scope = {}
    monkeypatch.setattr(builtins, "input", lambda prompt: at_the_end(scope["cluster"]))
    try:
        exec(compile(script(), "many-machines.md", "exec"), scope)
    finally:
        if "cluster" in scope:
            scope["cluster"].close()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """SLURM's two daemons, for this test alone."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))):
        pytest.skip("no SLURM: apt install slurm-wlm")
    host = platform.node().partition(".")[0]
    (tmp_path / "state").mkdir()
    file, port = tmp_path / "slurm.conf", 20000 + os.getpid() % 20000
    values = {"host": host, "port": port, "next_port": port + 1, "user": pwd.getpwuid(os.getuid()).pw_name}
    file.write_text(CONFIGURATION.format(**values, folder=tmp_path))
    monkeypatch.setenv("SLURM_CONF", str(file))
    log = (tmp_path / "daemons.txt").open("w")
    commands = (["slurmctld", "-D"], ["slurmd", "-D", "-N", host])
    daemons = [subprocess.Popen(c, stdout=log, stderr=log, start_new_session=True) for c in commands]
    deadline = time.monotonic() + 60
    while "idle" not in (state := subprocess.run(["sinfo", "-h"], capture_output=True, text=True).stdout):
        if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in daemons):
            pytest.skip(f"SLURM does not start here: {state} {(tmp_path / 'daemons.txt').read_text()[-300:]}")
        time.sleep(0.2)
    yield
    for daemon in daemons:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(30)
    log.close()


@pytest.mark.timeout(900)
def test_a_grid_on_the_workers_of_slurm(data_root, tmp_path, settings, slurm, monkeypatch, capsys):
    out = tmp_path / "out"

    def train(cluster):
        given = [*flags(data_root, out), *GRID, "--jobs", "2", "--cluster", cluster.scheduler_address]
        code, said, err = run(*COMMAND, *given)
        assert code == 0, err + said
        jobs = subprocess.run(["squeue", "-h", "-o", "%j"], capture_output=True, text=True).stdout.split()
        assert jobs == ["dask-worker"] * 2, jobs

    executed(monkeypatch, train)
    assert re.search(r"^pa-difc compare --out /shared/grid --cluster tcp://127\.0\.0\.1:\d+$", capsys.readouterr().out)
    code, _, err = apart(*COMMAND[2:], *flags(data_root, tmp_path / "here"), *GRID, "--jobs", "1")
    assert code == 0, err
    assert content(out) == content(tmp_path / "here")


def test_what_the_script_asks_slurm_for(settings, monkeypatch):
    def look(cluster):
        job = cluster.job_script()
        assert "#SBATCH --cpus-per-task=8" in job and "#SBATCH --mem=15G" in job and "#SBATCH -t 08:00:00" in job
        assert f"export PYTHONPATH={ROOT}" in job and cluster.scheduler_address in job

    monkeypatch.setattr("dask_jobqueue.SLURMCluster.scale", lambda self, jobs: None)
    executed(monkeypatch, look)
